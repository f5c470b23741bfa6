"""The parts of a folder that has files of several formats."""

import pytest

from pet.data.folder import find_part
from tests.data.formats.drawn_labelme import draw_labelme
from tests.data.small_coco import annotation, image, write_annotations, write_images


def test_a_broken_file_of_a_later_format_does_not_matter(tmp_path):
    write_images(tmp_path / "train", [image(1)])
    (tmp_path / "annotations").mkdir()
    file = tmp_path / "annotations" / "instances_train.json"
    write_annotations(file, images=[image(1)], annotations=[annotation(1, 1)])
    (tmp_path / "data.yaml").write_text("names: [a]\ntrain: /elsewhere/train\n")
    kind, part = find_part(tmp_path, "train", with_masks=True)
    assert (kind, part.annotations) == ("coco", file)


def test_a_folder_without_a_part_tells_how_to_divide_it(tmp_path):
    folder = tmp_path / "my data"
    write_images(folder / "train", [image(1)])
    (folder / "annotations").mkdir()
    file = folder / "annotations" / "instances_train.json"
    write_annotations(file, images=[image(1)], annotations=[annotation(1, 1)])
    with pytest.raises(ValueError, match=r"has no part 'val'; it has train \(coco\)") as error:
        find_part(folder, "val", with_masks=False)
    out = folder / "annotations" / "instances.json"
    assert f"tools/convert_data.py '{folder}' '{out}' --split 0.8,0.2" in str(error.value)


def test_an_undivided_folder_and_one_of_no_format(tmp_path):
    with pytest.raises(ValueError, match="holds no data set in a format that Pet reads"):
        find_part(tmp_path, "train", with_masks=False)
    draw_labelme(tmp_path, 2)
    with pytest.raises(ValueError, match=r"is not divided .* so there is no part 'train'"):
        find_part(tmp_path, "train", with_masks=False)
    with pytest.raises(FileNotFoundError, match=r"no_such does not exist"):
        find_part(tmp_path / "no_such", "train", with_masks=False)
