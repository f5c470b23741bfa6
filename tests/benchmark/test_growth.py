import json
import re
from pathlib import Path

import pytest

from pet.config import default_cfg, merge_cfg_from_list
from pet.data.build import build_dataset
from tools.benchmark import growth
from tools.benchmark.crowded_images import write_crowded_images
from tools.benchmark.growth import Load, Point, measure_growth, plot_growth
from tools.benchmark.measure import Spread

CFG = "cfgs/rcnn/torchvision/maskrcnn_resnet50_fpn.yaml"


def test_a_crowd_has_what_was_asked_for(tmp_path):
    opts = write_crowded_images(tmp_path / "data", images=2, size=(100, 130), boxes=40, classes=300)
    cfg = default_cfg()
    merge_cfg_from_list([*opts, "MODEL.MASK_ON", True], cfg)
    data = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)
    assert len(data) == 2 and data.num_classes == 301
    sample = data.read(1)
    assert sample.size == (100, 130) and len(sample.labels) == 40
    for box, mask in zip(sample.boxes.tolist(), sample.masks, strict=True):
        bits = mask.crop(sample.size).bits
        # An octagon fills 7 / 9 of its box.
        share = bits.sum() / ((box[2] - box[0]) * (box[3] - box[1]))
        assert share == pytest.approx(7 / 9, abs=0.12)


def test_the_same_seed_draws_the_same(tmp_path):
    for name in ("a", "b"):
        write_crowded_images(tmp_path / name, images=1, size=(64, 64), boxes=3, classes=5, seed=1)
    one, other = (json.loads((tmp_path / n / "crowd.json").read_text()) for n in ("a", "b"))
    assert one == other
    assert (tmp_path / "a" / "1.jpg").read_bytes() == (tmp_path / "b" / "1.jpg").read_bytes()


def test_a_load_is_what_the_step_sees(tmp_path):
    load = Load(batch=3, size=64, boxes=4, classes=7)
    setting = load.setting(CFG, ("DEVICE", "cpu"), tmp_path / "data")
    cfg = setting.cfg()
    assert cfg.TRAIN.BATCH_SIZE == 3 and cfg.TRAIN.SCALES == (64,)
    assert cfg.MODEL.NUM_CLASSES == 8
    assert setting.dataset().read(0).size == (64, 80)


def test_loading_is_measured_by_worker(monkeypatch):
    monkeypatch.setattr(growth, "AXES", {"workers": (0,)})
    said = []
    opts = ("DEVICE", "cpu")
    (point,) = measure_growth("workers", CFG, opts, rounds=1, say=said.append)
    assert set(point.seconds) == {"torchvision", "Pet"} and not point.memory
    assert re.fullmatch(r"workers 0: torchvision [\d.]+ s, Pet [\d.]+ s", said[0])


def test_plots(tmp_path):
    spread, memory = Spread(1.0, 2.0, 3.0), {"Pet": 10**8, "torchvision": 10**9}
    seconds = {"Pet": spread, "torchvision": spread}
    plot_growth("batch", [Point(n, seconds, memory) for n in (1, 2)], tmp_path / "batch.png")
    plot_growth("workers", [Point(n, seconds, {}) for n in (0, 1)], tmp_path / "workers.png")
    for name in ("batch", "workers"):
        assert Path(tmp_path, f"{name}.png").read_bytes().startswith(b"\x89PNG")
