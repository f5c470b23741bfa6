"""COCO JSON as annotation tools export it: where the files lie, and what is unusual in them."""

import json
import logging

import numpy as np
import pytest

from pet.annotations import read_annotations
from pet.data.coco_entries import coco_entries
from pet.data.datasets import CocoDataset
from pet.data.formats import Part
from pet.data.formats.coco import COCO
from pet.data.image_file import ImageReader
from pet.utils.opencv import cv2

SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]


def write_picture(path, size=(8, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((*size, 3), np.uint8))


def write(path, names, annotations=None, categories=(), **sections):
    """Write a file about pictures of these names, and pictures of 12 x 8 pixels."""
    images = [
        {"id": number, "file_name": name, "width": 12, "height": 8}
        for number, name in enumerate(names)
    ]
    content = {
        "info": {},
        "images": images,
        "categories": list(categories) or [{"id": 0, "name": "cat", "supercategory": "x"}],
        "annotations": [] if annotations is None else annotations,
        **sections,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def box(number=0, image=0, category=0, **more):
    found = {"id": number, "image_id": image, "category_id": category, "bbox": [1, 1, 3, 3]}
    return {**found, **more}


def dataset(images, file, **options):
    found = CocoDataset("mine", images, file, **{"is_train": True, **options})
    found.check_pictures()
    return found


# Tools -------------------------------------------------------------------------------------------

FISH = [
    {"id": 0, "name": "fish", "supercategory": "none"},
    {"id": 1, "name": "perch", "supercategory": "fish"},
    {"id": 2, "name": "pike", "supercategory": "fish"},
]


def test_roboflow_puts_the_name_of_the_project_before_the_classes(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    for part in ("train", "valid", "test"):
        write_picture(tmp_path / part / "a_jpg.rf.1f.jpg")
        annotations = [box(0, 0, 2, area=9, segmentation=SQUARE, iscrowd=0)]
        write(tmp_path / part / "_annotations.coco.json", ["a_jpg.rf.1f.jpg"], annotations, FISH)
    assert COCO.find(tmp_path) == tuple(
        Part(name, tmp_path / part, tmp_path / part / "_annotations.coco.json")
        for name, part in (("train", "train"), ("val", "valid"), ("test", "test"))
    )
    file = tmp_path / "train/_annotations.coco.json"
    found = dataset(tmp_path / "train", file, with_masks=True)
    assert found.class_names == ("perch", "pike") and found.labels(0) == [2]
    assert found.category_ids == (1, 2)
    assert "1 category of id 0 left out" in caplog.text
    assert dataset(tmp_path / "train", file, class_labels="category_id").labels(0) == [2]


@pytest.mark.parametrize(
    ("categories", "used"),
    [
        (FISH, 0),  # it has an object
        ([{**FISH[0], "supercategory": "fish"}, *FISH[1:]], 1),
        ([{**FISH[0], "id": 3}, *FISH[1:]], 1),
        ([*FISH[:2], {**FISH[2], "supercategory": "animal"}], 1),
        (FISH[:1], 0),
        ([{key: each[key] for key in ("id", "name")} for each in FISH], 1),
    ],
)
def test_other_categories_of_id_0_are_classes(tmp_path, categories, used):
    file = write(tmp_path / "a.json", ["a.png"], [box(category=used)], categories)
    assert len(read_annotations(file).categories) == len(categories)


RUNS = {"counts": [9, 3, 5, 3, 76], "size": [8, 12]}
CVAT = {"occluded": False, "rotation": 0.0}


def test_cvat_marks_painted_masks_as_crowds(tmp_path, caplog):
    write_picture(tmp_path / "images/default/a.png")
    annotations = [
        box(1, 0, 1, segmentation=RUNS, iscrowd=1, area=6.0, attributes=CVAT),
        box(2, 0, 1, segmentation=[], iscrowd=0, area=9.0, attributes=CVAT),
    ]
    categories = [{"id": 1, "name": "cat", "supercategory": ""}]
    file = tmp_path / "annotations/instances_default.json"
    write(file, ["a.png"], annotations, categories, licenses=[{"name": "", "id": 0, "url": ""}])
    assert COCO.find(tmp_path) == (Part("all", tmp_path / "images/default", file),)
    found = dataset(tmp_path / "images/default", file)
    assert found.labels(0) == [1] and found.annotations.crowds.tolist() == [True, False]
    assert "CVAT writes each mask that was painted as a crowd" in caplog.text
    write(file, ["a.png"], annotations[:1], categories)
    with pytest.raises(ValueError, match=r"1 crowds, .*; CVAT writes .* --crowds-as-objects"):
        dataset(tmp_path / "images/default", file, with_masks=True)


def test_crowds_as_in_coco_are_not_doubted(tmp_path, caplog):
    write_picture(tmp_path / "a.png")
    rest = [box(n, 0, 1, segmentation=SQUARE) for n in range(2, 12)]
    file = tmp_path / "a.json"
    categories = [{"id": 1, "name": "cat"}]
    for others in (rest, [box(2, 0, 1, segmentation=RUNS)]):
        crowd = box(1, 0, 1, segmentation=RUNS, iscrowd=1)
        dataset(tmp_path, write(file, ["a.png"], [crowd, *others], categories))
    assert "CVAT" not in caplog.text


def test_cvat_keypoints(tmp_path):
    write_picture(tmp_path / "images/a.png")
    categories = [
        {"id": 1, "name": "person", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]},
        {"id": 2, "name": "box", "keypoints": [], "skeleton": []},
    ]
    annotations = [
        box(1, 0, 1, keypoints=[1.5, 2, 2, 0, 0, 0], num_keypoints=1, segmentation=[], iscrowd=0),
        box(2, 0, 2, segmentation=[]),
    ]
    file = tmp_path / "annotations/person_keypoints_default.json"
    write(file, ["a.png"], annotations, categories)
    assert COCO.find(tmp_path) == (Part("all", tmp_path / "images", file),)
    table = read_annotations(file)
    assert table.keypoints(0).tolist() == [1.5, 2, 2, 0, 0, 0] and not len(table.keypoints(1))
    again = coco_entries(table)
    assert again["categories"] == [categories[0], {"id": 2, "name": "box"}]
    assert again["annotations"][0]["num_keypoints"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "images\\{}",
        "images\\1/{}",
        "../../label-studio/media/upload/4/{}",
        "..\\..\\label-studio\\media\\upload\\4\\{}",
        "/data/local-files/?d=shots/{}",
        "images/{}",
    ],
)
@pytest.mark.parametrize("written", ["90f-a b.png", "90f-a%20b.png"])
def test_label_studio_names_pictures_by_paths_of_its_own(tmp_path, caplog, name, written):
    caplog.set_level(logging.INFO)
    write_picture(tmp_path / "images/90f-a b.png")
    annotations = [
        box(0, segmentation=[], ignore=0),  # no area
        box(1, segmentation=SQUARE, ignore=0, iscrowd=0, area=9),
    ]
    file = write(tmp_path / "result.json", [name.format(written)], annotations)
    as_written = (tmp_path / name.format(written)).is_file()
    folder = tmp_path if as_written else tmp_path / "images"
    assert COCO.find(tmp_path) == (Part("all", folder, file),)
    found = dataset(tmp_path / "images", file)
    assert found.labels(0) == [1, 1] and found.read(0).image.shape == (8, 12, 3)
    assert "1 file names are no files in the image folder" in caplog.text
    records = COCO.read(tmp_path / "images", file, classes=(), reader=ImageReader())
    assert records.images[0]["file_name"] == "90f-a b.png"
    assert [each["id"] for each in records.objects] == [1, 2]


def test_sizes_that_the_tool_could_not_tell_are_those_of_the_pictures(tmp_path):
    write_picture(tmp_path / "images/a.png")
    file = write(tmp_path / "result.json", ["a.png"], [box(0, segmentation=SQUARE)])
    content = json.loads(file.read_text())
    content["images"][0] |= {"width": None, "height": None}
    file.write_text(json.dumps(content))
    records = COCO.read(tmp_path / "images", file, classes=(), reader=ImageReader())
    assert (records.images[0]["height"], records.images[0]["width"]) == (8, 12)
    assert "area" not in records.objects[0]
    del content["images"][0]["file_name"]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"result\.json: images without a file_name: 0"):
        COCO.read(tmp_path / "images", file, classes=(), reader=ImageReader())


# Layouts -----------------------------------------------------------------------------------------


def files_in(folder):
    return {
        part.name: (
            part.images.relative_to(folder).as_posix(),
            part.annotations.relative_to(folder).as_posix(),
        )
        for part in COCO.find(folder)
    }


@pytest.mark.parametrize(
    ("files", "pictures", "found"),
    [
        (
            [
                *("annotations/instances_train2017.json", "annotations/captions_train2017.json"),
                *("annotations/instances_val2014.json", "annotations/instances_val2017.json"),
                "annotations/person_keypoints_train2017.json",
            ],
            ["train2017/a.jpg", "val2017/a.jpg", "val2014/a.jpg"],
            {
                "train": ("train2017", "annotations/instances_train2017.json"),
                "val": ("val2017", "annotations/instances_val2017.json"),
            },
        ),
        (
            ["annotations/person_keypoints_val2017.json"],
            ["images/val2017/a.jpg"],
            {"val": ("images/val2017", "annotations/person_keypoints_val2017.json")},
        ),
        (
            ["train.json", "val.json"],
            ["images/a.jpg"],
            {"train": ("images", "train.json"), "val": ("images", "val.json")},
        ),
        (
            ["instances_train.json", "instances_test.json"],
            ["train/a.jpg", "test/b.jpg"],
            {"train": ("train", "instances_train.json"), "test": ("test", "instances_test.json")},
        ),
        (
            ["annotations/instances_Train.json", "annotations/instances_Validation.json"],
            ["images/Train/a.jpg", "images/Validation/a.jpg"],
            {
                "train": ("images/Train", "annotations/instances_Train.json"),
                "val": ("images/Validation", "annotations/instances_Validation.json"),
            },
        ),
        (["annotations.json"], ["a.jpg"], {"all": (".", "annotations.json")}),
        (["_annotations.coco.json"], ["a.jpg"], {"all": (".", "_annotations.coco.json")}),
        (["other.json", "lvis_v1_train.json"], ["a.jpg"], {}),
        (["train.json"], [], {}),
        ([], ["images/a.jpg"], {}),
    ],
)
def test_where_the_parts_lie(tmp_path, files, pictures, found):
    for name in files:
        write(tmp_path / name, ["a.jpg"])
    for name in pictures:
        write_picture(tmp_path / name)
    assert files_in(tmp_path) == found


def test_the_image_folder_is_that_which_has_the_pictures(tmp_path):
    write_picture(tmp_path / "images/train/a.png")
    for name, folder in (
        ("a.png", "images/train"),
        ("train/a.png", "images"),
        ("images/train/a.png", "."),
        ("other/a.png", "images/train"),
    ):
        write(tmp_path / "train.json", [name])
        assert files_in(tmp_path) == {"train": (folder, "train.json")}


def test_other_json_files_are_none_of_coco(tmp_path):
    write_picture(tmp_path / "images/a.png")
    for text in ('{"shapes": []}', "", '{"images": [], "annotations": []}'):
        (tmp_path / "train.json").write_text(text)
        assert COCO.find(tmp_path) == ()
