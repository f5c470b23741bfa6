"""Annotations from records: the same as from a file that holds them."""

import json
import pickle
from enum import IntEnum
from pathlib import Path

import numpy as np
import pytest
import torch

from pet.annotations import annotations_from_records, flaws, read_annotations
from tests.annotations.damage import sound_content
from tests.annotations.test_fuzz import plain
from tests.data.small_coco import CATEGORIES, annotation, image


def of(content):
    sections = (content[key] for key in ("images", "categories", "annotations"))
    return annotations_from_records("mine", *sections)


def as_file(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    return read_annotations(path)


def test_the_same_as_a_file(tmp_path):
    content = sound_content()
    content["annotations"][0]["bbox"] = [1, 1, 0, 5]
    content["annotations"][2]["segmentation"] = [[1, 1, 4, 1]]
    table = of(content)
    assert plain(table) == plain(as_file(tmp_path, content))
    assert table.file == Path("mine") and table.has_annotations
    assert table.box_flaws.any() and table.mask_flaws.any()


def test_arrays_tuples_and_bytes_do(tmp_path):
    content = sound_content()
    wanted = plain(as_file(tmp_path, content))
    for entry in content["images"]:
        entry["unknown"] = object()
        entry |= {"id": np.int64(entry["id"]), "file_name": Path(entry["file_name"])}
    for number, entry in enumerate(content["annotations"]):
        # Whole numbers would be counted as written otherwise if they came as floats.
        entry["bbox"] = tuple(entry["bbox"])
        entry["keypoints"] = torch.tensor(entry["keypoints"])
        entry["iscrowd"] = np.bool_(entry["iscrowd"])
        entry["area"] = np.float64(entry["area"])
        mask = entry["segmentation"]
        if isinstance(mask, list):
            entry["segmentation"] = (np.array(mask[0]), *mask[1:]) if number else np.array(mask)
        elif isinstance(mask["counts"], str):
            entry["segmentation"] = {**mask, "counts": mask["counts"].encode()}
    assert plain(of(content)) == wanted


def test_objects_are_numbered_where_none_has_an_id():
    entries = [annotation(n, 1) for n in (5, 6)]
    for entry in entries:
        del entry["id"]
    entries[0]["category_id"] = IntEnum("Animal", {"CAT": 3}).CAT
    table = annotations_from_records("mine", [image(1)], CATEGORIES, iter(entries))
    assert table.ids.tolist() == [1, 2] and table.read_otherwise == {}
    mixed = [*entries, annotation(1, 1)]
    table = annotations_from_records("mine", [image(1)], CATEGORIES, mixed)
    assert sorted(table.ids.tolist()) == [1, 2, 3]
    assert table.read_otherwise == {"annotations without an id": 2}


def test_what_is_to_be_ignored_is_a_crowd():
    values = [True, 1, "1", False, 0, None]
    entries = [annotation(n, 1, ignore=value) for n, value in enumerate(values, 1)]
    entries += [annotation(7, 1, ignore=False, iscrowd=1), annotation(8, 1)]
    table = annotations_from_records("mine", [image(1)], CATEGORIES, entries)
    assert table.crowds.tolist() == [True] * 3 + [False] * 3 + [True, False]
    assert "ignore" in entries[0] and entries[0]["iscrowd"] == 0  # records stay as they are


def test_nothing_and_no_list_of_objects():
    assert not annotations_from_records("mine", [image(1)], CATEGORIES, None).has_annotations
    table = annotations_from_records("mine", [], [], [])
    assert table.has_annotations and not len(table.ids) and not len(table.image_ids)


@pytest.mark.parametrize(
    ("images", "objects", "message"),
    [
        ([image(1)] * 2, [], "mine: ids that come more than once in images: 1"),
        ([3], [], "mine: images, entry 0: 'id' is None, not a whole number"),
        ([image(1)], [3], "mine: annotations, entry 0: 3 is no object with id"),
        ([image(1)], [annotation(5, 2)], "mine: image_id not among its images: annotation 5 has 2"),
        ([image(1)], [annotation(5, 1, category_id=4)], "mine: category_id not among its categ"),
        ([image(1)], [annotation(5, 1, ignore=2)], "mine: annotations, id 5: 'ignore' is 2, not 0"),
        ([{**image(1), "id": {1}}], [], r"mine: images, entry 0: \{1\} is a set, and no number"),
        ([image(1)], [{"ignore": "no"}], "mine: annotations, entry 0: 'ignore' is 'no', not 0 or"),
    ],
)
def test_what_breaks_the_records_is_named(images, objects, message):
    with pytest.raises(ValueError, match=message):
        annotations_from_records("mine", images, CATEGORIES, objects)


def test_what_is_wrong_with_one_object_is_on_record():
    entries = [annotation(1, 1, bbox=None), annotation(2, 1, bbox=np.array([1.0, 1.0, np.nan, 2]))]
    table = annotations_from_records("mine", [image(1)], CATEGORIES, entries)
    assert table.box_flaws.tolist() == [flaws.NO_BBOX, flaws.NOT_FOUR]


def test_another_process_gets_the_classes_as_well():
    table = annotations_from_records("mine", [image(1)], CATEGORIES, [annotation(1, 1)])
    assert table.with_classes(["dog", "cat"]) is table
    more = table.with_classes(["cow", "dog", "hen"])
    names = {1: "cow", 2: "hen", 3: "cat", 7: "dog"}
    for each in (more, pickle.loads(pickle.dumps(more))):
        assert {entry["id"]: entry["name"] for entry in each.categories} == names
        assert list(names) == [entry["id"] for entry in each.categories]
        assert each.boxes.tolist() == [[1, 1, 3, 3]]
    assert len(table.categories) == 2
