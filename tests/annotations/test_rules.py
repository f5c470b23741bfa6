"""What is read of single values and entries, by hand."""

import json
import tracemalloc
from collections import Counter

import numpy as np
import pycocotools.mask as coco_mask
import pytest

from pet.annotations import flaws, read_annotations
from pet.annotations.values import (
    flag,
    number,
    numbers,
    short,
    shorten,
    whole_number,
    whole_numbers,
)
from pet.data.datasets import CocoDataset
from tests.data.small_coco import SQUARE, annotation, image, write_annotations

NAN = float("nan")


def read(tmp_path, *entries, images=None, **sections):
    images = [image(1)] if images is None else images  # 12 x 8 pixels
    return read_annotations(
        write_annotations(tmp_path / "a.json", images, list(entries), **sections)
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((7, 7), (1.0, 1), ("7", 7), (" -3.0 ", -3), (2**63 - 1, 2**63 - 1), (-0.0, 0)),
        *((1.5, None), ("1.5", None), (True, None), (None, None), (2**63, None), (1e30, None)),
        *((-(2**63), None), (NAN, None), ("", None), ("9" * 30, None), ([1], None)),
    ],
)
def test_whole_number(value, expected):
    assert whole_number(value, Counter()) == expected
    found, wrong = whole_numbers([5, value], Counter())
    assert found.tolist() == [5, expected or 0] and wrong == ([] if expected is not None else [1])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((7, 7), (1.5, 1.5), ("1e2", 100), (" .5", 0.5), (2**64, 2.0**64), (10**400, NAN)),
        *((True, NAN), (None, NAN), ("nan", NAN), ("1e999", NAN), (float("inf"), NAN), ([1], NAN)),
        *(("1_0", NAN), ("0x10", NAN), ({}, NAN), ("١", NAN)),
    ],
)
def test_number(value, expected):
    np.testing.assert_equal(number(value, Counter()), float(expected))
    for values in ([value, 5], [value, 2.5]):
        np.testing.assert_equal(numbers(values, Counter())[0], float(expected))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("0", False), ("1", True), ("false", False), (" True ", True), (True, True)),
        *((1.0, True), (0, False), (None, False), ("2", None), (2, None), ([], None), (NAN, None)),
    ],
)
def test_flag(value, expected):
    assert flag(value, Counter()) is expected


def test_what_an_error_shows():
    deep: list = []
    for _ in range(3000):
        deep = [deep]
    assert short(deep).startswith("[[[[") and len(short(deep)) <= 60
    assert len(short(list(range(10**6)))) <= 60 and len(short("x" * 999)) <= 60
    assert short("\ud800") == r"'\ud800'"
    assert shorten(range(7)) == "0, 1, 2, 3, 4 and 2 more" and shorten([]) == ""
    assert shorten(["a"] * 5, 9) == "a, a, a, a, a and 4 more"


def test_a_long_text_among_many_numbers_costs_little(tmp_path):
    tracemalloc.start()
    numbers_ = [[1, 1, 5, 1, 5, 4] * 2000 + ["x" * 20_000, 3]]
    table = read(tmp_path, annotation(1, 1, segmentation=numbers_))
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()
    assert table.mask_flaws.tolist() == [flaws.NO_POLYGON]


def test_ids_written_otherwise(tmp_path):
    entries = [annotation(1.0, "1", category_id="3"), annotation("7", 1.0), annotation(None, 1)]
    del entries[2]["id"]
    table = read(tmp_path, *entries, annotation(None, 1))
    assert table.ids.tolist() == [1, 7, 2, 3] and table.category_ids.tolist() == [3] * 4
    assert table.read_otherwise == {
        "whole numbers written with a decimal point": 2,
        "numbers written as text": 3,
        "annotations without an id": 2,
    }


def test_free_ids_beside_the_highest(tmp_path):
    table = read(tmp_path, annotation(2**63 - 1, 1), annotation(None, 1), annotation(1, 1))
    assert table.ids.tolist() == [2**63 - 1, 2, 1]


def test_a_wrong_iscrowd_without_an_id(tmp_path):
    entry = annotation(None, 1, iscrowd="maybe")
    del entry["id"]
    with pytest.raises(ValueError, match=r"a\.json: annotations, entry 0: 'iscrowd' is 'maybe'"):
        read(tmp_path, entry)


def test_crowds(tmp_path):
    values = ["0", "1", "false", True, 1.0, None]
    entries = [annotation(n, 1, iscrowd=value) for n, value in enumerate(values, 1)]
    missing = annotation(9, 1)
    del missing["iscrowd"]
    table = read(tmp_path, *entries, missing)
    assert table.crowds.tolist() == [False, True, False, True, True, False, False]


def test_images_without_name_or_size(tmp_path):
    table = read(tmp_path, images=[{"id": 1}, {"id": 2, "height": None, "file_name": "é"}])
    assert table.file_names([0, 1]) == [None, "é"] and table.sizes.tolist() == [[0, 0]] * 2


def test_a_name_with_half_a_letter(tmp_path):
    with pytest.raises(ValueError, match=r"categories, id 1: 'name' is 'a\\ud800', not text"):
        read(tmp_path, categories=[{"id": 1, "name": "a\ud800"}])


def test_deep_keypoints_of_a_category(tmp_path):
    path = tmp_path / "a.json"
    deep = "[" * 900 + "]" * 900
    path.write_text(
        f'{{"images": [], "categories": [{{"id": 1, "name": "a", "keypoints": {deep}}}]}}'
    )
    assert len(read_annotations(path).categories[0]["keypoints"]) <= 60


@pytest.mark.parametrize(
    ("box", "flaw"),
    [
        ([1, 1, 3, 3], 0),
        (["1", "1", "3", "3.5"], 0),
        (None, flaws.NO_BBOX),
        ([1, 1, 3], flaws.NOT_FOUR),
        ([1, 1, 3, 3, 0.5], flaws.ROTATED),
        ("1 1 3 3", flaws.NOT_FOUR),
        ({}, flaws.NOT_FOUR),
        ([1, 1, [3], 3], flaws.NOT_FOUR),
        ([1, 1, NAN, 3], flaws.NOT_FOUR),
        ([1, 1, 1e308, 3], flaws.NOT_FOUR),
        ([1, 1, 0, 3], flaws.NO_AREA),
        ([5, 5, -3, 3], flaws.NO_AREA),
        ([5, 5, 1e-9, 3], flaws.NO_AREA),  # in float32, 5 + 1e-9 is 5
        ([-3, 1, 3, 3], flaws.OUTSIDE),
        ([12, 1, 3, 3], flaws.OUTSIDE),
        ([-3, 1, 3.5, 3], 0),
    ],
)
def test_boxes(tmp_path, box, flaw):
    assert read(tmp_path, annotation(1, 1, bbox=box)).box_flaws.tolist() == [flaw]


@pytest.mark.parametrize(
    ("box", "mask", "doubt"),
    [
        ([3, 1, 3, 3], None, 0),
        ([0.5, 0.5, 0.4, 0.5], SQUARE, flaws.NORMALISED),
        ([9, 1, 5, 3], None, flaws.BEYOND_IMAGE),
        ([1, 1, 6, 7], SQUARE, flaws.TWO_CORNERS),
        ([6, 1, 3, 3], SQUARE, flaws.MASK_ELSEWHERE),
    ],
)
def test_doubts(tmp_path, box, mask, doubt):
    entry = annotation(1, 1, bbox=box, segmentation=mask)
    assert read(tmp_path, entry).doubts.tolist() == [doubt]


@pytest.mark.parametrize(
    ("area", "box", "is_poor"),
    [
        *((0, [1, 1, 5, 5], True), (1, [1, 1, 5, 5], True), (1.5, [1, 1, 5, 5], False)),
        *((1, [1, 1, 1, 1], False), (-1, [1, 1, 1, 1], True), ("many", [1, 1, 5, 5], True)),
        *(("12.5", [1, 1, 5, 5], False), (NAN, [1, 1, 5, 5], True)),
    ],
)
def test_poor_areas(tmp_path, area, box, is_poor):
    table = read(tmp_path, annotation(1, 1, area=area, bbox=box, segmentation=None))
    assert (table.doubts[0] & flaws.POOR_AREA > 0) == is_poor
    np.testing.assert_equal(table.areas[0], NAN if is_poor else float(area))


@pytest.mark.parametrize(
    ("mask", "flaw"),
    [
        ([1, 1, 4, 1, 4, 4], 0),
        ([[1, 1, 4, 1], SQUARE[0]], 0),
        ([], flaws.NO_SEGMENTATION),
        ("x", flaws.OTHER_KIND),
        ([[1, 1, 4, 1]], flaws.NO_POLYGON),
        ([[1, 1, NAN, 1, 4, 4]], flaws.NO_POLYGON),
        ([[1, 1, 1e308, 1, -1e308, 4]], flaws.NO_POLYGON),
        ([[20, 1, 24, 1, 24, 4]], flaws.POLYGON_OUTSIDE),
        ([[1, 1, 1e9, 1, 4, 4]], flaws.FAR_AWAY),
        ([[-1000, 1, 1000, 7] * 10], flaws.FAR_AWAY),  # more than 500 turns around 12 x 8
        ({"size": [12, 8], "counts": [90, 6]}, flaws.OTHER_SIZE),
        ({"size": [8, 12], "counts": [90, 5]}, flaws.RUNS_DO_NOT_FILL),
        ({"size": [8, 12], "counts": [2**62, 2**62]}, flaws.RUNS_DO_NOT_FILL),
        ({"size": [8, 12], "counts": "é"}, flaws.NO_RUN_LENGTH_CODE),
        ({"size": [8, 12], "counts": [96]}, flaws.NO_FOREGROUND),
        ({"size": ["8", 12.0], "counts": [90.0, "6"]}, 0),
    ],
)
def test_masks(tmp_path, mask, flaw):
    assert read(tmp_path, annotation(1, 1, segmentation=mask)).mask_flaws.tolist() == [flaw]


def test_a_coordinate_that_overflows_in_a_long_image(tmp_path):
    far = [[4e9, 0, 4e9 + 5, 0, 4e9 + 5, 1]]
    table = read(
        tmp_path,
        annotation(1, 1, segmentation=far),
        images=[image(1, width=2**32 - 1, height=1)],
    )
    assert table.mask_flaws.tolist() == [flaws.FAR_AWAY]


def test_half_a_letter_in_a_file_name(tmp_path):
    entry = {**image(1), "file_name": "\ud800.png"}
    path = write_annotations(tmp_path / "a.json", [entry], [annotation(1, 1)])
    dataset = CocoDataset("small", tmp_path, path, is_train=True)
    with pytest.raises((ValueError, FileNotFoundError), match="data set 'small', image id 1: "):
        dataset.read(0)


def test_empty_runs_are_taken_out(tmp_path):
    runs = [8, 0, 8, 4, 0, 4, 72]
    table = read(tmp_path, annotation(1, 1, segmentation={"size": [8, 12], "counts": runs}))
    rle = table.rle(0)
    assert rle == coco_mask.frPyObjects({"size": [8, 12], "counts": [16, 8, 72]}, 8, 12)
    assert coco_mask.iou([rle], [rle], [0]).item() == 1


def test_many_masks_are_decoded_some_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("pet.annotations.rle._LETTERS", 5)
    masks = [{"size": [8, 12], "counts": [n, 5, 91 - n]} for n in range(1, 20)]
    masks[7]["counts"] = [1]
    entries = [annotation(n, 1, segmentation=mask) for n, mask in enumerate(masks)]
    table = read(tmp_path, *entries)
    assert np.flatnonzero(table.mask_flaws).tolist() == [7]
    for place, mask in enumerate(masks):
        if place != 7:
            assert table.rle(place) == coco_mask.frPyObjects(mask, 8, 12)


def test_columns_of_real_annotations(coco_mini):
    file = next((coco_mini / "annotations").glob("instances*.json"))
    content = json.loads(file.read_text())
    table = read_annotations(file)
    entries = {entry["id"]: entry for entry in content["annotations"]}
    images = {entry["id"]: entry for entry in content["images"]}
    assert sorted(table.ids.tolist()) == sorted(entries)
    assert table.image_ids.tolist() == sorted(images)
    for place, image_id in enumerate(table.image_ids.tolist()):
        entry = images[image_id]
        assert table.sizes[place].tolist() == [entry["height"], entry["width"]]
        assert table.file_name(place) == entry["file_name"]
    for n, ownid in enumerate(table.ids.tolist()):
        entry = entries[ownid]
        assert table.image_ids[table.image_of[n]] == entry["image_id"]
        assert table.category_ids[n] == entry["category_id"]
        assert table.boxes[n].tolist() == entry["bbox"]
        assert table.areas[n] == entry["area"]
        assert table.crowds[n] == entry["iscrowd"]
        mask = entry["segmentation"]
        if isinstance(mask, list):
            found = [polygon.reshape(-1).tolist() for polygon in table.polygons(n)]
            assert found == mask
        else:
            assert table.rle(n) == coco_mask.frPyObjects(mask, *mask["size"])
    assert not table.box_flaws.any() and not table.mask_flaws.any()
