import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pet.engine.show_data import describe_batch, show_test_data, unpadded
from pet.structures import Crop, ImageList, MaskCrops, Targets
from pet.utils.opencv import cv2

REPOSITORY = Path(__file__).resolve().parents[2]


def targets_of(count: int, with_masks: bool) -> Targets:
    crops = [Crop(np.ones((2, 3), np.uint8), 0, 0)] * count
    return Targets(
        torch.zeros(count, 4),
        torch.ones(count, dtype=torch.int64),
        (20, 30),
        1,
        MaskCrops.pack(crops) if with_masks else None,
    )


def test_batches_are_described_by_their_shapes():
    images = ImageList(torch.zeros(2, 3, 32, 64, dtype=torch.uint8), ((20, 30), (32, 64)))
    assert describe_batch(images) == ["data: (2, 3, 32, 64)"]
    assert describe_batch(images, [targets_of(6, True), targets_of(3, True)]) == [
        "data: (2, 3, 32, 64)",
        "label: (2, 6|3)",
        "box: (2, 6|3, 4)",
        "mask: (2, 6|3) crops of 54 pixels in all",
    ]
    one = ImageList(images.tensor[:1], images.sizes[:1])
    assert describe_batch(one, [targets_of(6, False)])[1:] == ["label: (1, 6)", "box: (1, 6, 4)"]
    people = replace(targets_of(6, False), keypoints=torch.zeros(6, 17, 3))
    assert describe_batch(one, [people])[3:] == ["keypoint: (1, 6, 17, 3)"]


def test_the_padding_is_cut_off():
    tensor = torch.zeros(1, 3, 32, 64, dtype=torch.uint8)
    tensor[:, 1, :20, :30] = 7
    image = unpadded(ImageList(tensor, ((20, 30),)), 0)
    assert image.shape == (20, 30, 3)
    assert (image == (0, 7, 0)).all() and image.flags["C_CONTIGUOUS"]


def run_visualize_data(monkeypatch, *words: object) -> None:
    tool = REPOSITORY / "tools" / "rcnn" / "visualize_data.py"
    monkeypatch.setattr(sys, "argv", [str(tool), *map(str, words)])
    runpy.run_path(str(tool), run_name="__main__")


@pytest.fixture
def options(coco_mini, tmp_path):
    """Return what follows the tool's own options."""
    yaml = tmp_path / "small.yaml"
    yaml.write_text(
        "FPN: {FPN_ON: true}\nMODEL: {MASK_ON: true}\nCKPT: "
        f"{tmp_path / 'run'}\n"
        "TRAIN: {DATASETS: [coco_2017_train], SCALES: [160], BATCH_SIZE: 2, LOADER_THREADS: 0}\n"
        "TEST: {DATASETS: [coco_2017_val], SCALE: 160, LOADER_THREADS: 0}\n"
    )
    return ("--cfg", yaml, "DATA_DIR", coco_mini)


def test_training_pictures_go_into_the_folder_of_the_run(options, monkeypatch, tmp_path, capsys):
    run_visualize_data(monkeypatch, "--num", 3, *options)
    pictures = sorted((tmp_path / "run" / "vis" / "data").iterdir())
    assert [path.name[:10] for path in pictures] == ["train_000_", "train_001_", "train_002_"]
    assert all(min(cv2.imread(str(path)).shape[:2]) >= 320 for path in pictures)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed[:-1]] == ["data", "label", "box", "mask"] * 2
    assert printed[-1] == f"3 pictures are in {tmp_path / 'run' / 'vis' / 'data'}"


def test_test_pictures_go_where_they_are_asked_for(options, monkeypatch, tmp_path, capsys):
    run_visualize_data(monkeypatch, "--test", "--num", 2, "--out", tmp_path / "out", *options)
    assert len(list((tmp_path / "out").glob("coco_2017_val_00?_*.jpg"))) == 2
    assert capsys.readouterr().out.startswith("data: (1, 3, ")


def test_an_unknown_key_is_one_line(options, monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        run_visualize_data(monkeypatch, *options, "TRAIN.SCALE", 160)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: unknown config key 'TRAIN.SCALE'")


def test_no_test_set_to_show_is_said(fresh_cfg, tmp_path):
    with pytest.raises(ValueError, match=r"TEST\.DATASETS names no data set to show"):
        show_test_data(1, tmp_path, cfg=fresh_cfg)
