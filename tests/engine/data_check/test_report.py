"""The report as text, JSON and a page, and the tool."""

import base64
import json
import re
import runpy
import shutil
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from pet.annotations import annotations_from_records
from pet.config import default_cfg
from pet.data.build import build_dataset
from pet.data.datasets import CocoDataset
from pet.engine.data_check.annotations import annotation_findings, repeated_boxes
from pet.engine.data_check.before_training import warn_of_data
from pet.engine.data_check.check import Report, fit_of_anchors
from pet.engine.data_check.checked_set import Boxes, CheckedSet
from pet.engine.data_check.findings import Where, counted, share
from pet.engine.data_check.network_size import training_sizes
from pet.engine.data_check.page import make_page
from pet.engine.data_check.run import CheckOptions, run_check
from pet.engine.data_check.summary import summarise
from pet.engine.data_check.text import describe_report
from pet.ops.boxes import box_iou
from pet.utils.opencv import cv2
from tests.source_code import ROOT

EVIL = "<script>alert('&')</script>"
_VOID = {"meta", "img"}


class Page(HTMLParser):
    """Reads a page: all elements are closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def broken(data):
    """Give the data an error, warnings, and names of files and classes that are no good HTML."""
    data.train.content["images"][0]["file_name"] = f"{EVIL.replace('/', '')}.png"
    data.train.picture(1).with_name("1.png").rename(data.train.picture(1))
    shutil.copy(data.train.picture(1), data.val.picture(8))
    data.train.annotation(5)["bbox"] = [4, 4, 100, 16]
    for each in (data.train, data.val):
        each.content["categories"][0]["name"] = EVIL
    data.val.content["categories"][1]["name"] = "$\\frac$ 猫"
    return data


def test_the_page(data, tmp_path):
    cfg = broken(data).cfg()
    page = tmp_path / "out" / "page.html"
    assert not run_check("a <b>.yaml", CheckOptions(html=page), say=lambda text: None, cfg=cfg)
    read = Page(page.read_text(encoding="utf-8"))
    assert "script" not in read.names and "b" in read.names
    assert any(EVIL in words for words in read.words)
    assert any("a <b>.yaml" in words for words in read.words)
    assert all(link.startswith("data:image/") for link in read.links)
    assert not re.search(r"https?:|@import|url\(", page.read_text(encoding="utf-8"))
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]
    for link in read.links:
        pixels = np.frombuffer(base64.b64decode(link.partition(",")[2]), np.uint8)
        assert cv2.imdecode(pixels, cv2.IMREAD_COLOR) is not None
    kinds = [link.partition(";")[0] for link in read.links]
    assert kinds.count("data:image/png") == 2 and kinds.count("data:image/jpeg") >= 2


def test_a_page_without_findings():
    read = Page(make_page(Report((), (), ()), "a.yaml", {}))
    assert "There are none." in read.words and "0 errors" in read.words


def test_the_json_has_all_ids(data, tmp_path):
    for n in range(1, 13):
        data.train.annotation(2 * n)["bbox"][2] = 0
    file = tmp_path / "found.json"
    options = CheckOptions(json=file)
    assert run_check("a.yaml", options, say=lambda text: None, cfg=data.cfg())
    content = json.loads(file.read_text(encoding="utf-8"))
    (found,) = (each for each in content["findings"] if each["kind"] == "unusable-boxes")
    assert found["annotation_ids"] == list(range(2, 25, 2)) and found["severity"] == "warning"
    assert content["config"] == "a.yaml" and content["counts"]["error"] == 0
    assert content["data_sets"][0]["classes"] == [
        {"name": "cat", "objects": 12, "images": 12},
        {"name": "dog", "objects": 0, "images": 0},
    ]


def test_the_text(data):
    for n in range(1, 13):
        data.train.annotation(2 * n)["bbox"][2] = 0
    report = data.check()
    text = describe_report(report, "a.yaml")
    lines = text.splitlines()
    assert lines[0] == "data of a.yaml: no errors, 3 warnings, no notes"
    assert max(map(len, lines)) <= 100
    assert "  at: image 1 (annotation 2); image 2 (annotation 4); " in text and "7 more" in text
    assert "image 12 (annotation 24)" not in text
    assert "image 12 (annotation 24)" in describe_report(report, "a.yaml", everything=True)
    assert re.search(r"^train +train +12 +0 +12 +0 +1 +1$", text, re.MULTILINE)
    assert re.search(r"^cat +12 in 12 +12 in 12$", text, re.MULTILINE)


def test_many_classes_are_cut(data):
    data.train.content["categories"] += [{"id": n, "name": f"c{n}"} for n in range(3, 40)]
    text = describe_report(data.check(), "a.yaml")
    assert "and 19 more" in text and "c39" not in text
    assert "c39" in describe_report(data.check(), "a.yaml", everything=True)


def test_words():
    assert [share(n, 1000) for n in (0, 1, 22, 990)] == ["0 %", "0.1 %", "2.2 %", "99 %"]
    assert share(1, 100_000) == "<0.1 %" and share(0, 0) == "0 %"
    assert counted(1, "box", "boxes") == "1 box" and counted(0, "error") == "0 errors"
    assert Where(details=("a", "b")).named(1) == ["a"] and len(Where(details=("a", "b"))) == 2


# The tool ----------------------------------------------------------------------------------------


def run_tool(monkeypatch, *words: object) -> int:
    tool = ROOT / "tools" / "check_data.py"
    monkeypatch.setattr(sys, "argv", [str(tool), *map(str, words)])
    try:
        runpy.run_path(str(tool), run_name="__main__")
    except SystemExit as end:
        return int(end.code)
    return 0


@pytest.mark.parametrize(
    ("alter", "options", "status"),
    [("", (), 0), ("warning", (), 0), ("warning", ("--strict",), 1), ("error", (), 1)],
)
def test_the_status_of_the_tool(data, monkeypatch, tmp_path, capsys, alter, options, status):
    if alter == "warning":
        data.train.annotation(5)["bbox"][2] = 0
    if alter == "error":
        data.train.picture(3).unlink()
    file = tmp_path / "my.yaml"
    file.write_text(data.cfg().dump())
    words = (*options, "--json", tmp_path / "a.json", "--cfg", file)
    assert run_tool(monkeypatch, *words) == status
    out = capsys.readouterr().out
    assert out.startswith(f"data of {file}: ") and out.endswith(f"\nwritten: {tmp_path}/a.json\n")


def test_an_error_of_the_user(data, monkeypatch, tmp_path, capsys):
    file = tmp_path / "my.yaml"
    file.write_text(data.cfg().dump())
    assert run_tool(monkeypatch, "--cfg", file, "TRAIN.DATASETS", "('trian',)") == 2
    assert capsys.readouterr().err.startswith("error: no data set named 'trian'")


# Repeated boxes ----------------------------------------------------------------------------------


def test_repeated_boxes_are_those_of_all_pairs():
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 20, (150, 4)).round()
    corners[:, 2:] += corners[:, :2] + 20
    corners = np.concatenate((corners, corners[:60] + rng.uniform(0, 0.8, (60, 4))))
    images, labels = rng.integers(0, 3, 210), rng.integers(1, 3, 210)
    images[150:], labels[150:] = images[:60], labels[:60]
    boxes = Boxes(np.arange(210) + 5, labels, images, corners)
    iou = box_iou(torch.from_numpy(corners), torch.from_numpy(corners)).numpy() > 0.95
    iou &= (images[:, None] == images) & (labels[:, None] == labels)
    wanted = np.flatnonzero(np.tril(iou, -1).any(axis=1)) + 5
    assert len(wanted) > 5 and repeated_boxes(boxes).tolist() == wanted.tolist()
    assert repeated_boxes(boxes.sampled(0)).tolist() == []


@pytest.mark.slow
def test_many_annotations_are_looked_at(tmp_path):
    """It takes seconds."""
    rng = np.random.default_rng(0)
    images, objects = 20_000, 100_000
    corners = rng.uniform(0, 250, (objects, 2)).tolist()
    sides = rng.uniform(2, 200, (objects, 2)).tolist()
    table = annotations_from_records(
        "many",
        [{"id": n, "file_name": f"{n}.png", "height": 480, "width": 640} for n in range(images)],
        [{"id": 1, "name": "cat"}],
        [
            {"image_id": n % images, "category_id": 1, "bbox": [*corner, *size]}
            for n, (corner, size) in enumerate(zip(corners, sides, strict=True))
        ],
    )
    checked = CheckedSet(CocoDataset("many", tmp_path, table, is_train=True), True, table)
    cfg = default_cfg()
    cfg.FPN.FPN_ON = True
    fits = fit_of_anchors(checked, cfg)[1]
    assert not [each for each in annotation_findings(checked) if each.severity == "error"]
    assert summarise(checked, training_sizes(cfg), fits).objects == objects == len(fits[0].best)


# Before training ---------------------------------------------------------------------------------


def warnings_of(data, caplog, **changes) -> str:
    cfg = data.cfg(**changes)
    caplog.clear()
    dataset = build_dataset(cfg.TRAIN.DATASETS, True, cfg, check_pictures=False)
    caplog.clear()
    warn_of_data(dataset, cfg)
    assert {record.levelname for record in caplog.records} <= {"WARNING"}
    return caplog.text


def test_nothing_is_said_of_clean_data(data, caplog):
    assert warnings_of(data, caplog) == ""
    assert warnings_of(data, caplog, TRAIN__DATASETS=("train", "train")) == ""
    assert warnings_of(data, caplog, TEST__DATASETS=()) == ""


def test_warnings_before_training(data, caplog):
    data.train.annotation(1)["category_id"] = 3
    data.train.annotation(3)["bbox"] = [4, 4, 0.5, 16]
    data.train.content["categories"].append({"id": 3, "name": "cow"})
    text = warnings_of(data, caplog, RPN__ANCHOR_SIZES=(64, 128, 256, 512, 1024))
    assert "1 of 3 classes has fewer than 10 objects: cow (1)" in text
    assert "narrower or lower than 1 px at TRAIN.SCALES 48; image 2 (annotation 3); " in text
    assert "24 boxes of 24 (100 %) are smaller than the smallest anchor" in text
    assert "data set train and val: val lacks 1 of the 3 classes to train on: cow" in text


def test_what_cannot_be_tested_on_is_said_before_training(data, caplog):
    data.keys["DATASETS.val.ANNOTATIONS"] = "gone.json"
    text = warnings_of(data, caplog)
    assert "data set 'val' of TEST.DATASETS cannot be read" in text and "gone.json" in text


def test_a_data_set_of_the_user_stops_no_training(data, caplog):
    class Own:
        name = "own"

        def ground_truth(self):
            raise RuntimeError("no table")

    warn_of_data(Own(), data.cfg())
    assert "could not be looked at before training: no table" in caplog.text
    caplog.clear()
    warn_of_data(object(), data.cfg())  # it has no ground truth
    assert caplog.text == ""
