"""Whole benchmarks on a few drawn pictures: what they report, and what they refuse."""

import pytest
import torch

from pet.benchmark import infer, train
from pet.benchmark.run import Plan, run_infer, run_loader, run_train
from pet.benchmark.setting import Setting
from pet.engine.comparison import Difference
from tests.engine.tiny_run import draw_few_shapes

CFG = "cfgs/rcnn/torchvision/maskrcnn_resnet50_fpn.yaml"
PLAN = Plan(rounds=1, memory=False, command="python x.py")


@pytest.fixture
def opts(tmp_path, monkeypatch):
    draw_few_shapes(monkeypatch, tmp_path)
    return (
        *("DEVICE", "cpu", "DATA_DIR", str(tmp_path), "MODEL.NUM_CLASSES", "-1"),
        *("MODEL.CLASS_LABELS", "contiguous", "TRAIN.DATASETS", "shapes_train"),
        *("TEST.DATASETS", "shapes_val", "TEST.SCALE", "64", "TRAIN.SCALES", "64"),
        *("FAST_RCNN.DETECTIONS_PER_IMG", "5", "RPN.POST_NMS_TOP_N_TEST", "50"),
        *("RPN.POST_NMS_TOP_N_TRAIN", "50"),
    )


def test_testing_is_compared_and_timed(opts):
    setting = Setting(CFG, opts, images=2, batch_size=1, workers=0, is_train=False)
    report = run_infer(setting, PLAN, ["float32"])
    assert [row.side for row in report.rows] == ["torchvision fp32", "Pet fp32"]
    assert list(report.rows[1].faster) == ["torchvision fp32"] and not report.rows[0].faster
    assert any("boxes differ by at most" in line for line in report.agreement)
    ours, theirs = infer.our_side(setting, "float32")(), infer.peer_side(setting, "float32")()
    for mine, other in zip(ours, theirs, strict=True):
        assert len(mine["segm"]) == len(other["segm"]) > 0
        for own, peers in zip(mine["segm"], other["segm"], strict=True):
            assert own["category_id"] == peers["category_id"]
            assert own["segmentation"] == peers["segmentation"]


def test_training_is_compared_and_timed(opts):
    setting = Setting(CFG, opts, images=4, batch_size=2, workers=0, is_train=True)
    report = run_train(setting, PLAN, ["float32"], steps=1)
    assert [row.side for row in report.rows] == ["torchvision fp32", "Pet fp32"]
    assert len(report.agreement) == 5


def test_loading_is_timed(opts):
    setting = Setting(CFG, opts, images=4, batch_size=2, workers=0, is_train=True)
    report = run_loader(setting, PLAN, batches=2)
    assert [row.side for row in report.rows] == ["torchvision", "torchvision, resized", "Pet"]


def test_sides_that_differ_are_not_timed(opts, monkeypatch):
    setting = Setting(CFG, opts, images=1, batch_size=1, workers=0, is_train=False)
    rows = [Difference("boxes, 1", "5 and 5", 0.5, 100.0)]
    monkeypatch.setattr(infer, "check", lambda setting: rows)
    with pytest.raises(ValueError, match=r"do not find the same.*boxes, 1"):
        run_infer(setting, PLAN, ["float32"])
    monkeypatch.setattr(train, "check", lambda setting: [train.LossDifference("loss_x", 1.0, 1.1)])
    with pytest.raises(ValueError, match=r"other losses.*loss_x is 1\.0"):
        run_train(setting, PLAN, ["float32"], steps=1)


def test_a_missing_partner_counts():
    row = Difference("scores, 1", "5 and 4", 0.0, 1.0, unmatched=1)
    assert infer.too_far([row]) == [row]
    assert not infer.too_far([Difference("scores, 1", "4 and 4", 1e-6, 1.0)])


def test_the_same_part_of_the_trunk_is_frozen(opts):
    setting = Setting(CFG, opts, images=2, batch_size=1, workers=0, is_train=True)
    peer = setting.peer()
    frozen = {name for name, p in peer.named_parameters() if not p.requires_grad}
    assert "backbone.body.conv1.weight" in frozen
    assert "backbone.body.layer1.2.conv3.weight" in frozen
    assert "backbone.body.layer2.0.conv1.weight" not in frozen
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in peer.modules())
