"""The formats that supervision reads, too, beside Pet's readers.

In one file, as importing supervision takes seconds.
"""

import json

import cv2
import numpy as np
import pytest

from pet.annotations import annotations_from_records
from pet.data.formats.coco import COCO
from pet.data.formats.labelme import LABELME
from pet.data.formats.yolo import YOLO
from pet.data.image_file import ImageReader
from tests.data.formats.drawn_labelme import draw_labelme
from tests.data.formats.drawn_shapes import draw
from tests.data.formats.drawn_yolo import draw_yolo

SIZE = (97, 131)  # height and width


@pytest.fixture(scope="module")
def peer():
    return pytest.importorskip("supervision").DetectionDataset


def compare(theirs, images, annotations, form) -> int:
    """Check that both have the same objects in each picture, and return how many masks."""
    records = form.read(images, annotations, classes=(), reader=ImageReader())
    ours = annotations_from_records("x", records.images, records.categories, records.objects)
    assert theirs.classes == [each["name"] for each in ours.categories]
    compared = 0
    for place, name in enumerate(ours.file_names(range(len(ours.image_ids)))):
        found = theirs.annotations.get(str(images / name))
        numbers = np.arange(ours.first[place], ours.first[place + 1])
        assert len(numbers) == (0 if found is None else len(found))
        if not len(numbers):
            continue
        corners = ours.boxes[numbers] + np.pad(ours.boxes[numbers, :2], ((0, 0), (2, 0)))
        np.testing.assert_allclose(corners, found.xyxy, atol=1e-3)
        assert (ours.category_ids[numbers] - 1).tolist() == found.class_id.tolist()
        for number, mask in zip(
            numbers, found.mask if found.mask is not None else (), strict=False
        ):
            for polygon in ours.polygons(number):
                canvas = np.zeros(mask.shape, np.uint8)
                cv2.fillPoly(canvas, [polygon.round().astype(np.int32)], 1)
                assert (canvas.astype(bool) == mask).all()
                compared += 1
    return compared


@pytest.mark.parametrize("part", ["train", "val"])
def test_yolo(tmp_path, peer, part):
    draw_yolo(tmp_path, 6, SIZE, seed=5)
    images, labels = tmp_path / "images" / part, tmp_path / "labels" / part
    file = tmp_path / "data.yaml"
    theirs = peer.from_yolo(str(images), str(labels), str(file), force_masks=True)
    assert compare(theirs, images, file, YOLO) == 5


def test_labelme(tmp_path, peer):
    if not hasattr(peer, "from_labelme"):
        pytest.skip("this supervision does not read labelme's files")
    draw_labelme(tmp_path, 5, SIZE, seed=3)
    theirs = peer.from_labelme(str(tmp_path), str(tmp_path), force_masks=True)
    assert compare(theirs, tmp_path, tmp_path, LABELME) == 4


def test_coco(tmp_path, peer):
    pictures = draw(tmp_path, 4, SIZE, seed=1)
    annotations = []
    for image, picture in enumerate(pictures):
        for shape in picture.shapes:
            x1, y1, x2, y2 = shape.box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": 1 + (shape.name == "triangle"),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": 1.0,
                    "iscrowd": 0,
                    "segmentation": [shape.corners.reshape(-1).tolist()],
                }
            )
    content = {
        "images": [
            {"id": n, "file_name": picture.path.name, "height": SIZE[0], "width": SIZE[1]}
            for n, picture in enumerate(pictures)
        ],
        "categories": [{"id": 1, "name": "square"}, {"id": 2, "name": "triangle"}],
        "annotations": annotations,
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    theirs = peer.from_coco(str(tmp_path), str(tmp_path / "a.json"), force_masks=True)
    assert compare(theirs, tmp_path, tmp_path / "a.json", COCO) == 6
