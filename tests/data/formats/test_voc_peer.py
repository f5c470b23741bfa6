"""Boxes and classes of Pascal VOC as another library reads them."""

from pathlib import Path

import pytest

from pet.data.formats.voc import VOC
from tests.data.formats.drawn_voc import draw_voc

sv = pytest.importorskip("supervision")


def theirs(root):
    """Return picture -> class and corners of each object."""
    data = sv.DetectionDataset.from_pascal_voc(
        images_directory_path=str(root / "JPEGImages"),
        annotations_directory_path=str(root / "Annotations"),
    )
    return {
        Path(path).name: [
            (data.classes[kind], *map(float, box))
            for kind, box in zip(found.class_id, found.xyxy, strict=True)
        ]
        for path, _, found in data
    }


def ours(root):
    data = VOC.dataset("v", root / "JPEGImages", root / "Annotations", is_train=False)
    table = data.ground_truth()
    names = {each["id"]: each["name"] for each in table.categories}
    found = {name: [] for name in table.file_names(range(len(table.image_ids)))}
    for n, (x, y, width, height) in enumerate(table.boxes.tolist()):
        name = table.file_name(int(table.image_of[n]))
        found[name].append((names[int(table.category_ids[n])], x, y, x + width, y + height))
    return found


def test_drawn_pictures(tmp_path):
    root = draw_voc(tmp_path)
    assert ours(root) == theirs(root) and len(ours(root)) == 6


def test_real_pictures(voc_mini):
    root = voc_mini / "VOC2012"
    assert ours(root) == theirs(root) and len(ours(root)) == 3
