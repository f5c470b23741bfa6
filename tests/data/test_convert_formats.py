"""Data sets of any format, written as COCO JSON and read again."""

import contextlib
import io
import json
import os
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from pycocotools import coco as peer_coco

from pet.annotations import annotations_from_records, read_annotations
from pet.data.convert_formats import convert_data, find_parts, parse_shares
from pet.data.formats import FORMATS
from pet.data.image_file import ImageReader
from pet.launch.command_line import run_tool
from tests.data.formats.drawn_labelme import draw_labelme, entry, mask_text, write_json
from tests.data.formats.drawn_yolo import draw_yolo
from tests.data.small_coco import annotation, image, write_annotations, write_images
from tests.source_code import ROOT


def read_source(folder):
    """Return the annotations of each part of a data set."""
    form, parts = find_parts(folder)
    found = {}
    for part in parts:
        records = form.read(part.images, part.annotations, classes=(), reader=ImageReader())
        found[part.name] = annotations_from_records(
            "x", records.images, records.categories, records.objects
        )
    return found


def check_equal(one, other):
    """Check that two tables hold the same; areas only if both have them."""
    assert one.categories == other.categories
    assert one.file_names(range(len(one.image_ids))) == other.file_names(
        range(len(other.image_ids))
    )
    for name in ("image_ids", "sizes", "first", "category_ids", "boxes", "crowds"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    for number in range(len(one.ids)):
        polygons, others = one.polygons(number), other.polygons(number)
        assert [each.tolist() for each in polygons] == [each.tolist() for each in others]
        assert one.keypoints(number).tolist() == other.keypoints(number).tolist()
        has_runs = one.mask_flaws[number] == 0 and not one.is_polygons(number)
        if has_runs:
            assert one.rle(number) == other.rle(number)


def check_loads(file, count):
    """Check that pycocotools takes the file, and that each annotation has what it needs."""
    with contextlib.redirect_stdout(io.StringIO()):
        peer = peer_coco.COCO(str(file))
    assert len(peer.anns) == count
    for found in peer.anns.values():
        assert found["area"] > 0 and found["id"] > 0 and found["iscrowd"] in (0, 1)
        if found["segmentation"]:
            assert peer.annToMask(found).any()


def test_yolo_is_the_same_as_coco(tmp_path):
    draw_yolo(tmp_path / "set")
    lines = convert_data(tmp_path / "set", tmp_path / "out/a.json")
    for name, table in read_source(tmp_path / "set").items():
        file = tmp_path / f"out/a_{name}.json"
        check_equal(table, read_annotations(file))
        check_loads(file, 6)
        images = tmp_path / "set/images" / name
        pair = f"DATASETS.<name>.ANNOTATIONS {file} goes DATASETS.<name>.IMAGES {images}"
        assert any(line.endswith(pair) for line in lines)
        assert f"{file}: 4 images, 6 annotations of 2 of 2 classes" in lines
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a_train.json",
        "a_val.json",
    ]


def test_labelme_with_masks_and_keypoints_is_the_same_as_coco(tmp_path):
    pictures = draw_labelme(tmp_path / "set")
    bits = np.ones((4, 6))
    shapes = [
        entry("square", [[1, 1], [6, 4]], "mask", mask=mask_text(bits)),
        entry("triangle", [[20, 20], [30, 20], [25, 30]], "polygon", 1),
        entry("left_tip", [[20, 20]], "point", 1),
        entry("right_tip", [[30, 20]], "point", 1),
        entry("__ignore__", [[40, 5], [45, 9]], "rectangle"),
    ]
    write_json(pictures[0].path.with_suffix(".json"), shapes, pictures[0].path.name, (48, 64))
    convert_data(tmp_path / "set", tmp_path / "a.json")
    table = read_annotations(tmp_path / "a.json")
    check_equal(read_source(tmp_path / "set")["all"], table)
    check_loads(tmp_path / "a.json", 8)
    assert table.crowds.sum() == 2 and table.areas[0] == 24
    assert table.categories[1]["keypoints"] == ["left_tip", "right_tip"]


def small(folder, count=10):
    """Write a data set in COCO's format, with flaws; return its folder."""
    images = [image(n) for n in range(1, count + 1)]
    write_images(folder / "images", images)
    annotations = [annotation(n, n) for n in range(1, count + 1)]
    runs = {"size": [8, 12], "counts": [9, 3, 5, 3, 76]}
    annotations += [
        annotation(20, 1, segmentation=runs, area=6, iscrowd=1),
        annotation(21, 1, bbox=["1", 1.0, 2, 2], area="x", category_id=7),
        annotation(22, 2, bbox=[1, 1, 0, 3]),
        annotation(23, 2, segmentation=[[1, 1]]),
    ]
    write_annotations(folder / "train.json", images, annotations)
    return folder


def test_coco_comes_out_clean(tmp_path):
    lines = convert_data(small(tmp_path / "set"), tmp_path / "a.json")
    before, after = (
        read_annotations(tmp_path / "set/train.json"),
        read_annotations(tmp_path / "a.json"),
    )
    sound = before.box_flaws == 0
    assert after.ids.tolist() == before.ids[sound].tolist()
    np.testing.assert_array_equal(after.boxes, before.boxes[sound])
    assert after.box_flaws.tolist() == [0] * 13 and not after.read_otherwise
    assert after.crowds.tolist() == before.crowds[sound].tolist()
    check_loads(tmp_path / "a.json", 13)
    assert "train: 1 annotations of" in "\n".join(lines)
    lines = convert_data(tmp_path / "set", tmp_path / "b.json", crowds_as_objects=True)
    assert "1 crowds are written as objects" in lines
    assert not read_annotations(tmp_path / "b.json").crowds.any()


def test_names_are_relative_to_the_folder_that_is_given(tmp_path):
    draw_yolo(tmp_path / "set")
    convert_data(tmp_path / "set", tmp_path / "a.json", images=tmp_path)
    table = read_annotations(tmp_path / "a_train.json")
    assert table.file_name(0) == "set/images/train/000.png"
    form, parts = find_parts(tmp_path / "a_train.json", images=tmp_path)
    assert form is FORMATS["coco"] and parts[0].images == tmp_path
    convert_data(tmp_path / "a_train.json", tmp_path / "b.json", images=tmp_path)
    check_equal(table, read_annotations(tmp_path / "b.json"))
    # The file tells the folder itself.
    convert_data(tmp_path / "set", tmp_path / "json" / "a.json", images=tmp_path)
    lines = convert_data(tmp_path / "json" / "a_train.json", tmp_path / "out" / "c.json")
    assert lines[-1].endswith(f"IMAGES {tmp_path}")
    check_equal(table, read_annotations(tmp_path / "out" / "c.json"))


def test_a_name_that_json_cannot_hold_is_refused(tmp_path):
    draw_yolo(tmp_path / "set")
    pictures = tmp_path / "set" / "images" / "train"
    os.rename(pictures / "000.png", os.fsencode(pictures) + b"/\xff.png")
    with pytest.raises(ValueError, match=r"a name that is no text in UTF-8.*rename the picture"):
        convert_data(tmp_path / "set", tmp_path / "a.json")


def test_a_division_has_every_picture_once(tmp_path):
    draw_yolo(tmp_path / "set", 10)
    lines = convert_data(tmp_path / "set", tmp_path / "a.json", shares=(0.5, 0.3, 0.2), seed=4)
    tables = [read_annotations(tmp_path / f"a_{name}.json") for name in ("train", "val", "test")]
    names = [table.file_names(range(len(table.image_ids))) for table in tables]
    assert [len(each) for each in names] == [10, 6, 4]
    every = sorted(name for each in names for name in each)
    assert every == sorted(
        f"{part}/{path.name}"
        for part in ("train", "val")
        for path in (tmp_path / "set/images" / part).iterdir()
    )
    assert tables[0].categories == tables[1].categories == tables[2].categories
    assert sum(len(table.ids) for table in tables) == 36
    pair = f"IMAGES {(tmp_path / 'set/images')}"
    assert sum(line.endswith(pair) for line in lines) == 3
    first = (tmp_path / "a_val.json").read_bytes()
    convert_data(tmp_path / "set", tmp_path / "a.json", shares=(0.5, 0.3, 0.2), seed=4)
    assert first == (tmp_path / "a_val.json").read_bytes()
    convert_data(tmp_path / "set", tmp_path / "a.json", shares=(0.5, 0.3, 0.2), seed=5)
    assert first != (tmp_path / "a_val.json").read_bytes()


def test_files_beside_the_source_are_found_before_it_and_written_again(tmp_path):
    draw_labelme(tmp_path / "pictures", 6)
    (tmp_path / "json").mkdir()
    for path in (tmp_path / "pictures").glob("*.json"):
        path.rename(tmp_path / "json" / path.name)
    out = tmp_path / "annotations/instances.json"
    for seed in range(2):
        convert_data(tmp_path, out, shares=(0.5, 0.5), seed=seed)
    parts = FORMATS["coco"].find(tmp_path)
    assert [part.name for part in parts] == ["train", "val"]
    assert {part.images for part in parts} == {tmp_path}  # labelme's pictures lie anywhere in it
    assert find_parts(tmp_path)[0] is FORMATS["labelme"]
    (tmp_path / "pictures").rename(tmp_path / "images")
    convert_data(tmp_path, out, shares=(0.5, 0.5))
    parts = FORMATS["coco"].find(tmp_path)
    assert {part.images for part in parts} == {tmp_path / "images"}
    draw_yolo(tmp_path / "yolo")
    convert_data(tmp_path / "yolo", tmp_path / "yolo/instances.json", shares=(0.5, 0.5))
    for part in FORMATS["coco"].find(tmp_path / "yolo"):
        assert part.images == tmp_path / "yolo/images"
        assert read_annotations(part.annotations).file_name(0).startswith("train/")


def test_a_picture_in_two_parts_comes_once(tmp_path):
    draw_yolo(tmp_path, 4)
    (tmp_path / "data.yaml").write_text("train: train.txt\nval: images/val\nnames: [a, b]\n")
    (tmp_path / "train.txt").write_text("images/train/000.png\nimages/val/000.png\n")
    lines = convert_data(tmp_path, tmp_path / "a.json", shares=(0.6, 0.4))
    assert "1 pictures are in several parts, and come once" in lines
    tables = [read_annotations(tmp_path / f"a_{name}.json") for name in ("train", "val")]
    assert sum(len(table.image_ids) for table in tables) == 5
    assert sum(len(table.ids) for table in tables) == 8


def test_categories_of_all_parts_are_equal(tmp_path):
    for part, labels in (("train", ("dog", "cat")), ("val", ("ant", "dog"))):
        (picture,) = draw_labelme(tmp_path / "set" / part, 1)
        shapes = [entry(label, [[1, 1], [9, 9]], "rectangle") for label in labels]
        write_json(picture.path.with_suffix(".json"), shapes, picture.path.name, (48, 64))
    lines = convert_data(tmp_path / "set", tmp_path / "a.json")
    train, val = (read_annotations(tmp_path / f"a_{name}.json") for name in ("train", "val"))
    assert [each["name"] for each in train.categories] == ["cat", "dog", "ant"]
    assert train.categories == val.categories
    assert train.category_ids.tolist() == [2, 1] and val.category_ids.tolist() == [3, 2]
    assert "  none is of the class ant" in lines and "  none is of the class cat" in lines


def test_keypoints_that_differ_between_parts(tmp_path):
    for part, point in (("train", "tip"), ("val", "top")):
        (picture,) = draw_labelme(tmp_path / "set" / part, 1)
        shapes = [
            entry("dog", [[1, 1], [9, 9]], "rectangle", 1),
            entry(point, [[2, 2]], "point", 1),
        ]
        write_json(picture.path.with_suffix(".json"), shapes, picture.path.name, (48, 64))
    with pytest.raises(ValueError, match=r"val: the category 'dog' has other keypoints than"):
        convert_data(tmp_path / "set", tmp_path / "a.json")


def test_what_cannot_be_converted_is_named_and_nothing_written(tmp_path):
    folder = small(tmp_path / "set", 2)
    (tmp_path / "none").mkdir()
    cases = [
        ((tmp_path / "nowhere", "a.json"), {}, "there is no folder"),
        ((tmp_path / "none", "a.json"), {}, "has no data set of the format coco, .*yolo"),
        ((folder, "a.json"), {"kind": "yolo"}, "has no data set of the format yolo"),
        ((folder, "a.txt"), {}, r"a\.txt; its name must end in \.json"),
        ((folder / "images/1.png", "a.json"), {}, r"1\.png is a file; give the folder"),
        ((folder, folder / "train.json"), {}, r"train\.json is a part of .* not overwritten"),
        ((folder, "a.json"), {"shares": (0.5, 0.6)}, r"with the sum 1; got 0\.5,0\.6"),
        ((folder, "a.json"), {"shares": (0.5, 0.3, 0.2)}, "2 images are too few .* test would"),
        ((folder, "a.json"), {"shares": (0.5, 0.5), "seed": -1}, "--seed is -1"),
    ]
    for (source, out), options, message in cases:
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            convert_data(Path(source), tmp_path / out, **options)
    draw_yolo(folder)
    with pytest.raises(ValueError, match=r"could be of several formats: coco, yolo; .* --type"):
        convert_data(folder, tmp_path / "a.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["none", "set"]


@pytest.mark.parametrize("text", ["0.8", "0.8,0.2,0", "0.5,x", "0.25,0.25,0.25,0.25", "1.2,-0.2"])
def test_shares_that_are_none(text):
    with pytest.raises(ValueError, match=r"--split takes the shares of train and val"):
        parse_shares(text)
    assert parse_shares("0.7,0.2,0.1") == (0.7, 0.2, 0.1)


def test_the_tool(tmp_path, monkeypatch, capsys):
    draw_labelme(tmp_path / "set", 5)
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(ROOT / "tools/convert_data.py"))["main"]
    words = ["convert_data.py", "set", "a.json", "--split"]
    monkeypatch.setattr(sys, "argv", [*words, "0.6,0.4"])
    run_tool(main)
    out = capsys.readouterr().out
    files = re.findall(r"ANNOTATIONS (\S+) goes DATASETS.<name>.IMAGES (\S+)", out)
    assert files == [("a_train.json", str(tmp_path / "set")), ("a_val.json", str(tmp_path / "set"))]
    assert len(json.loads((tmp_path / "a_val.json").read_text())["images"]) == 2
    monkeypatch.setattr(sys, "argv", [*words, "0.6"])
    with pytest.raises(SystemExit) as caught:
        run_tool(main)
    err = capsys.readouterr().err
    assert caught.value.code == 2
    assert err.startswith("error: --split takes") and err.count("\n") == 1
