"""PNGs of instances: Cityscapes' layout, other numbered ones, and those of one class."""

import logging

import numpy as np
import pycocotools.mask as coco_mask
import pytest
from PIL import Image

from pet.data.formats import FORMATS, Part
from pet.data.formats.instance_png import CITYSCAPES_CLASSES, INSTANCE_PNG
from pet.data.image_file import ImageReader
from pet.utils.opencv import cv2
from tests.data.formats.drawn_voc import write_indices

SHAPE = (20, 30)


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*SHAPE, 3), 90, np.uint8))


def png(path, regions, dtype=np.uint8):
    """Write a PNG with (value, x1, y1, x2, y2) regions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    indices = np.zeros(SHAPE, dtype)
    for value, x1, y1, x2, y2 in regions:
        indices[y1:y2, x1:x2] = value
    Image.fromarray(indices).save(path)


def read(root, images="images", masks="masks", classes=()):
    return INSTANCE_PNG.read(root / images, root / masks, classes=classes, reader=ImageReader())


def summary(found):
    return [
        (each["image_id"], each["category_id"], each["bbox"], each["ignore"])
        for each in found.objects
    ]


# Cityscapes --------------------------------------------------------------------------------------

CITY = [
    (7, 0, 10, 30, 20),  # road
    (26000, 2, 2, 6, 6),
    (26001, 10, 2, 14, 8),
    (26001, 20, 2, 22, 4),  # the second part of a car behind a pole
    (24, 0, 0, 2, 1),  # a group of people
    (33004, 5, 12, 9, 16),
    (29000, 25, 15, 30, 20),  # a caravan, which is not evaluated
]


@pytest.fixture
def city(tmp_path):
    for part, towns in {"train": ("aachen", "bonn"), "val": ("ulm",), "test": ("berlin",)}.items():
        for town in towns:
            stem = f"{part}/{town}/{town}_000000_000019"
            picture(tmp_path / "leftImg8bit" / f"{stem}_leftImg8bit.png")
            label = tmp_path / "gtFine" / f"{stem}_gtFine_instanceIds.png"
            png(label, CITY if part != "test" else [], np.uint16)
            png(label.with_name(label.name.replace("instance", "label")), [(7, 0, 0, 9, 9)])
    return tmp_path


def test_instances_of_cityscapes(city):
    found = read(city, "leftImg8bit/train", "gtFine/train")
    assert found.images == [
        {
            "id": n,
            "file_name": f"{town}/{town}_000000_000019_leftImg8bit.png",
            "height": 20,
            "width": 30,
        }
        for n, town in ((1, "aachen"), (2, "bonn"))
    ]
    assert {each["id"]: each["name"] for each in found.categories} == CITYSCAPES_CLASSES
    assert summary(found)[:4] == [
        (1, 24, [0, 0, 2, 1], True),
        (1, 26, [2, 2, 4, 4], False),
        (1, 26, [10, 2, 12, 6], False),
        (1, 33, [5, 12, 4, 4], False),
    ]
    two_parts = coco_mask.decode(found.objects[2]["segmentation"])
    wanted = np.zeros(SHAPE, np.uint8)
    wanted[2:8, 10:14] = wanted[2:4, 20:22] = 1
    assert (two_parts == wanted).all()
    (note,) = found.notes
    assert note.startswith("4 regions of classes that have no instances") and "value 7" in note


def test_parts_of_cityscapes(city):
    images, labels = city / "leftImg8bit", city / "gtFine"
    assert INSTANCE_PNG.find(city) == tuple(
        Part(name, images / name, labels / name) for name in ("train", "val")
    )


def test_coarse_annotations_and_one_town(city):
    town = city / "gtFine" / "train" / "aachen"
    for path in town.iterdir():
        path.rename(path.with_name(path.name.replace("gtFine", "gtCoarse")))
    found = read(city, "leftImg8bit/train/aachen", "gtFine/train/aachen")
    assert [each["file_name"] for each in found.images] == ["aachen_000000_000019_leftImg8bit.png"]


def test_a_data_set_of_cityscapes(city):
    images, labels = city / "leftImg8bit" / "val", city / "gtFine" / "val"
    dataset = INSTANCE_PNG.dataset("c", images, labels, is_train=True, with_masks=True)
    dataset.check_pictures()
    assert dataset.class_names == tuple(CITYSCAPES_CLASSES.values()) and dataset.scores == ()
    assert dataset.read(0).labels.tolist() == [3, 3, 8] and len(dataset.read(0).masks) == 3


# Other numbers -----------------------------------------------------------------------------------


def test_values_of_classes(tmp_path):
    picture(tmp_path / "images" / "a.jpg")
    picture(tmp_path / "images" / "b.jpg")
    regions = [(1001, 0, 0, 5, 5), (3000, 6, 0, 9, 5), (3, 10, 0, 12, 2), (2, 15, 0, 17, 2)]
    png(tmp_path / "masks" / "a.png", regions, np.uint16)
    png(tmp_path / "masks" / "b.png", [(1, 1, 1, 3, 3)])  # 8 bits
    found = read(tmp_path)
    assert found.categories == [{"id": 1, "name": "class 1"}, {"id": 3, "name": "class 3"}]
    boxes = [(1, 3, [10, 0, 2, 2], True), (1, 1, [0, 0, 5, 5], False), (1, 3, [6, 0, 3, 5], False)]
    assert summary(found) == [*boxes, (2, 1, [1, 1, 2, 2], True)]
    assert len(found.notes) == 1 and "value 2 in" in found.notes[0]
    named = read(tmp_path, classes=("cat", "dog", "cow"))
    assert [each["name"] for each in named.categories] == ["cat", "dog", "cow"]
    with pytest.raises(ValueError, match=r"a\.png has an instance of class 3 .* 2 names: cat, dog"):
        read(tmp_path, classes=("cat", "dog"))


@pytest.mark.parametrize("classes", [(), ("cell",)])
def test_values_of_one_class(tmp_path, classes):
    picture(tmp_path / "images" / "deep" / "a.tif")
    regions = [(1, 0, 0, 5, 5), (255, 6, 0, 9, 5), (999, 10, 0, 12, 2), (1, 20, 0, 22, 2)]
    png(tmp_path / "masks" / "deep" / "a.png", regions, np.uint16)
    found = read(tmp_path, classes=classes)
    assert found.categories == [{"id": 1, "name": classes[0] if classes else "object"}]
    assert found.images[0]["file_name"] == "deep/a.tif" and found.notes == ()
    boxes = [[0, 0, 22, 5], [6, 0, 3, 5], [10, 0, 2, 2]]
    assert summary(found) == [(1, 1, box, False) for box in boxes]
    with pytest.raises(ValueError, match=r"CLASSES has 2 names, a, b, but the values in .*a\.png"):
        read(tmp_path, classes=("a", "b"))


def test_a_palette_and_no_objects(tmp_path):
    for name in "ab":
        picture(tmp_path / "images" / f"{name}.png")
    (tmp_path / "masks").mkdir()
    write_indices(tmp_path / "masks" / "a.png", np.zeros(SHAPE, np.uint8))
    write_indices(tmp_path / "masks" / "b.png", np.eye(*SHAPE, dtype=np.uint8) * 9)
    found = read(tmp_path)
    assert len(found.images) == 2 and summary(found) == [(2, 1, [0, 0, 20, 20], False)]


# Files -------------------------------------------------------------------------------------------


def test_files_without_a_partner_are_counted(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        picture(tmp_path / "images" / name)
    for name in ("a", "x"):
        png(tmp_path / "masks" / f"{name}.png", [(1, 0, 0, 5, 5)])
    found = read(tmp_path)
    assert [each["file_name"] for each in found.images] == ["a.jpg"]
    first, second = found.notes
    assert first.startswith("1 PNG files without a picture") and first.endswith("x.png")
    assert second.startswith("2 pictures without a PNG") and second.endswith("b.jpg")


def test_pictures_and_pngs_in_one_folder(tmp_path):
    picture(tmp_path / "a.jpg")
    png(tmp_path / "a.png", [(1, 0, 0, 5, 5)])
    found = read(tmp_path, "", "")
    assert [each["file_name"] for each in found.images] == ["a.jpg"] and found.notes == ()


def test_two_pictures_of_one_name(tmp_path):
    for name in ("a.jpg", "a.png"):
        picture(tmp_path / "images" / name)
    png(tmp_path / "masks" / "a.png", [(1, 0, 0, 5, 5)])
    with pytest.raises(ValueError, match=r"belong to .*masks.a\.png: a\.jpg, a\.png; take out all"):
        read(tmp_path)


def test_no_pairs(tmp_path):
    (tmp_path / "masks").mkdir()
    picture(tmp_path / "images" / "a.jpg")
    with pytest.raises(FileNotFoundError, match=r"no picture in .*images .*: a\.jpg .* none here"):
        read(tmp_path)
    png(tmp_path / "masks" / "b.png", [])
    with pytest.raises(FileNotFoundError, match=r"a\.jpg there, b\.png here"):
        read(tmp_path)


def test_colours_and_another_size(tmp_path):
    picture(tmp_path / "images" / "a.jpg")
    picture(tmp_path / "masks" / "a.png")
    with pytest.raises(ValueError, match=r"masks.a\.png has colours"):
        read(tmp_path)
    write_indices(tmp_path / "masks" / "a.png", np.ones((5, 6), np.uint8))
    folders = tmp_path / "images", tmp_path / "masks"
    with pytest.raises(ValueError, match=r"'p': 1 of 1 pictures .* another size, .* 30 x 20"):
        INSTANCE_PNG.dataset("p", *folders, is_train=True).check_pictures()


# Folders -----------------------------------------------------------------------------------------


def test_parts_of_other_folders(tmp_path):
    assert INSTANCE_PNG.find(tmp_path) == ()
    picture(tmp_path / "images" / "a.jpg")
    (tmp_path / "masks").mkdir()
    assert INSTANCE_PNG.find(tmp_path) == ()
    png(tmp_path / "masks" / "a.png", [])
    assert INSTANCE_PNG.find(tmp_path) == (Part("all", tmp_path / "images", tmp_path / "masks"),)
    for part in ("train", "val"):
        picture(tmp_path / "images" / part / "a.jpg")
        png(tmp_path / "masks" / part / "a.png", [])
    assert INSTANCE_PNG.find(tmp_path) == tuple(
        Part(part, tmp_path / "images" / part, tmp_path / "masks" / part)
        for part in ("train", "val")
    )


def test_names_with_brackets(tmp_path):
    picture(tmp_path / "images" / "a[1].jpg")
    png(tmp_path / "masks" / "a[1].png", [])
    assert [part.name for part in INSTANCE_PNG.find(tmp_path)] == ["all"]
    assert read(tmp_path).images[0]["file_name"] == "a[1].jpg"


def test_a_folder_for_each_part(tmp_path):
    for part in ("train", "val", "test"):
        picture(tmp_path / part / "images" / "a.jpg")
        png(tmp_path / part / "masks" / "a.png", [])
    assert [part.name for part in INSTANCE_PNG.find(tmp_path)] == ["train", "val", "test"]


def test_it_is_a_type_of_data_sets(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert FORMATS["instance_png"] is INSTANCE_PNG and INSTANCE_PNG.annotations == "folder"
    picture(tmp_path / "images" / "a.jpg")
    for name in "ab":
        png(tmp_path / "masks" / f"{name}.png", [(1, 0, 0, 5, 5)])
    INSTANCE_PNG.dataset("p", tmp_path / "images", tmp_path / "masks", is_train=True)
    assert "data set p: 1 PNG files without a picture are left out" in caplog.text
