"""The parts of a folder that has files of several formats."""

from pet.data.folder import find_part
from tests.data.small_coco import annotation, image, write_annotations, write_images


def test_a_broken_file_of_a_later_format_does_not_matter(tmp_path):
    write_images(tmp_path / "train", [image(1)])
    (tmp_path / "annotations").mkdir()
    file = tmp_path / "annotations" / "instances_train.json"
    write_annotations(file, images=[image(1)], annotations=[annotation(1, 1)])
    (tmp_path / "data.yaml").write_text("names: [a]\ntrain: /elsewhere/train\n")
    kind, part = find_part(tmp_path, "train", with_masks=True)
    assert (kind, part.annotations) == ("coco", file)
