"""DATASETS.<name>.CLASSES: names and order of the classes, whatever a split holds."""

import json

import pytest

from pet.annotations import annotations_from_records
from pet.config import merge_cfg_from_list
from pet.data.build import build_dataset, resolve_num_classes
from pet.data.datasets import CocoDataset, ConcatDataset
from pet.evaluation.coco import evaluate_coco
from tests.data.small_coco import (
    CATEGORIES,
    annotation,
    image,
    read_small,
    write_annotations,
    write_images,
)

CLASSES = ("dog", "cow", "cat")  # in the annotations: cat 3, dog 7
BOTH = [annotation(1, 1), annotation(2, 1, category_id=7, bbox=[5, 1, 4, 4])]


def test_the_order_is_that_of_the_names(tmp_path):
    dataset = read_small(tmp_path, [image(1)], BOTH, classes=CLASSES)
    assert dataset.class_names == CLASSES and dataset.num_classes == 4
    assert dataset.category_ids == (7, 1, 3)  # 1 is free, and stands for the cow
    assert dataset.labels(0) == [3, 1] == dataset.read(0).labels.tolist()
    assert dataset.read(0).boxes.tolist() == [[1, 1, 4, 4], [5, 1, 9, 5]]
    plain = read_small(tmp_path, [image(1)], BOTH)
    assert (plain.class_names, plain.category_ids) == (("cat", "dog"), (3, 7))
    assert plain.labels(0) == [1, 2]


def test_splits_of_which_one_lacks_a_class_are_the_same(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = read_small(tmp_path / "a", [image(1)], BOTH, classes=CLASSES)
    write_images(tmp_path / "b" / "images", [image(1)])
    only = [{"id": 1, "name": "cat"}]
    entries = [annotation(1, 1, category_id=1)]
    path = write_annotations(tmp_path / "b" / "a.json", [image(1)], entries, categories=only)
    other = CocoDataset("b", tmp_path / "b" / "images", path, is_train=True, classes=CLASSES)
    assert other.class_names == first.class_names and other.num_classes == 4
    assert other.category_ids == (2, 3, 1)
    joined = ConcatDataset([first, other])
    assert [joined.labels(index) for index in range(2)] == [[3, 1], [3]]


def test_scores_are_those_of_the_classes(tmp_path):
    write_images(tmp_path, [image(1)])
    table = annotations_from_records("mine", [image(1)], CATEGORIES, BOTH)
    dataset = CocoDataset("mine", tmp_path, table, is_train=False, classes=CLASSES)
    ids = dict(zip(dataset.class_names, dataset.category_ids, strict=True))
    records = [
        {"image_id": 1, "category_id": ids["dog"], "bbox": [5, 1, 4, 4], "score": 0.9},
        {"image_id": 1, "category_id": ids["cow"], "bbox": [0, 0, 3, 3], "score": 0.8},
        {"image_id": 1, "category_id": ids["cat"], "bbox": [8, 5, 3, 3], "score": 0.7},
    ]
    (tmp_path / "r.json").write_text(json.dumps(records))
    classes = dataset.class_names, dataset.category_ids
    truth, files = dataset.ground_truth(), {"bbox": tmp_path / "r.json"}
    found = evaluate_coco(truth, files, dataset.image_ids, *classes)["bbox"]
    assert found.per_class == {"dog": pytest.approx(1.0), "cow": None, "cat": 0.0}
    assert abs(found.AP - 0.5) < 1e-9  # the mean of those that there are any of
    with pytest.raises(ValueError, match=r"mine has no categories \[1\]; it has \[3, 7\]"):
        evaluate_coco(table, files, dataset.image_ids, *classes)


def test_records_are_read_as_a_file_is(tmp_path):
    whole = read_small(tmp_path, [image(1)], BOTH)
    table = annotations_from_records("mine", [image(1)], CATEGORIES, BOTH)
    dataset = CocoDataset("small", tmp_path / "images", table, is_train=True, with_masks=True)
    one, other = dataset.read(0), whole.read(0)
    assert (one.boxes.tolist(), one.info) == (other.boxes.tolist(), other.info)
    crops = [[mask.crop((8, 12)).bits.tolist() for mask in s.masks] for s in (one, other)]
    assert crops[0] == crops[1]
    assert dataset.annotation_file == "mine" and dataset.ground_truth() is table
    with pytest.raises(ValueError, match="data set 'x': mine holds no images"):
        CocoDataset("x", tmp_path, annotations_from_records("mine", [], [], []), is_train=False)


@pytest.mark.parametrize(
    ("classes", "categories", "message"),
    [
        (("dog",), CATEGORIES, r"small\.CLASSES does not name: cat \(3\); it names dog; add"),
        (("dog", "Cat"), CATEGORIES, r"does not name: cat \(3\); it names dog, Cat"),
        (("cat", "dog", "cat"), CATEGORIES, r"DATASETS\.small\.CLASSES names more than once: cat"),
        (("cat", ""), CATEGORIES, r"DATASETS\.small\.CLASSES holds an empty name"),
        (("cat",), [{"id": n, "name": "cat"} for n in (3, 4)], r"more than one .* named cat, so"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, classes, categories, message):
    entries = [annotation(1, 1)]
    path = write_annotations(tmp_path / "a.json", [image(1)], entries, categories=categories)
    for is_train in (True, False):
        with pytest.raises(ValueError, match=message):
            CocoDataset("small", tmp_path, path, is_train=is_train, classes=classes)


def test_labels_that_are_category_ids_are_another_choice(tmp_path):
    with pytest.raises(ValueError, match=r"x\.CLASSES gives .* MODEL\.CLASS_LABELS category_id to"):
        CocoDataset(
            "x",
            tmp_path,
            tmp_path / "never_read.json",
            is_train=True,
            classes=CLASSES,
            class_labels="category_id",
        )


def test_the_config_gives_them(tmp_path, fresh_cfg):
    write_images(tmp_path / "images", [image(1)])
    write_annotations(tmp_path / "a.json", [image(1)], BOTH)
    block = "DATASETS.small"
    words = [f"{block}.IMAGES", str(tmp_path / "images"), f"{block}.CLASSES", "dog, cow, cat"]
    words += [f"{block}.ANNOTATIONS", str(tmp_path / "a.json")]
    merge_cfg_from_list(words, fresh_cfg)
    for is_train in (True, False):
        dataset = build_dataset("small", is_train=is_train, cfg=fresh_cfg)
        assert dataset.class_names == CLASSES
        assert resolve_num_classes(dataset, fresh_cfg) == 4
