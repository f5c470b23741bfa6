"""Whole benchmarks on a few drawn pictures: what they report, and what they refuse."""

import multiprocessing
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.cuda._utils import _get_device_index

from pet.modeling.rcnn.generalized_rcnn import Generalized_RCNN
from tests.engine.tiny_run import draw_few_shapes
from tools.benchmark import infer, loader, train
from tools.benchmark import setting as setting_module
from tools.benchmark.comparison import Difference
from tools.benchmark.run import Plan, run_infer, run_loader, run_train
from tools.benchmark.setting import Setting

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
    ours, theirs = (side(setting, "float32")()() for side in (infer.our_side, infer.peer_side))
    for mine, other in zip(ours, theirs, strict=True):
        assert len(mine["segm"]) == len(other["segm"]) > 0
        for own, peers in zip(mine["segm"], other["segm"], strict=True):
            assert own["category_id"] == peers["category_id"]
            assert own["segmentation"] == peers["segmentation"]


def test_training_is_compared_and_timed(opts, monkeypatch):
    compiled = []
    monkeypatch.setattr(Generalized_RCNN, "compile_dense", lambda model: compiled.append(model))
    setting = Setting(CFG, opts, images=4, batch_size=2, workers=0, is_train=True)
    report = run_train(setting, PLAN, ["float32"], steps=1, compiled=True)
    names = ["torchvision fp32", "Pet fp32", "Pet fp32, compiled"]
    assert [row.side for row in report.rows] == names and len(compiled) == 1
    assert len(report.agreement) == 5 and report.images == 2 and not report.unlike


def test_the_rounded_losses_are_compared_as_well(opts):
    setting = Setting(CFG, opts, images=2, batch_size=2, workers=0, is_train=True)
    losses = train.check(setting, "bfloat16")
    assert len(losses) == 5
    exact = train.check(setting)
    assert not any(loss.is_too_far for loss in losses + exact)
    assert [loss.ours for loss in losses] != [loss.ours for loss in exact]
    assert exact[0].limit == pytest.approx(0.002 * exact[0].theirs)
    assert losses[0].limit == pytest.approx(0.01 * sum(loss.theirs for loss in losses))


def test_loading_is_timed(opts):
    setting = Setting(CFG, opts, images=4, batch_size=2, workers=0, is_train=True)
    report = run_loader(setting, PLAN, batches=2)
    assert [row.side for row in report.rows] == ["torchvision", "torchvision, resized", "Pet"]


def test_sides_that_differ_are_not_timed(opts, monkeypatch):
    setting = Setting(CFG, opts, images=1, batch_size=1, workers=0, is_train=False)
    rows = [Difference("boxes, 1", "5 and 5", 0.5, 100.0)]
    monkeypatch.setattr(infer, "check", lambda setting: rows)
    with pytest.raises(ValueError, match=r"do not find the same(?s:.*)boxes, 1"):
        run_infer(setting, PLAN, ["float32"])
    monkeypatch.setattr(train, "check", lambda _: [train.LossDifference("loss_x", 1.0, 1.1, 0.05)])
    with pytest.raises(ValueError, match=r"other losses.*loss_x is 1\.0"):
        run_train(setting, PLAN, ["float32"], steps=1)


def test_sides_that_differ_are_timed_all_the_same_where_that_is_asked_for(opts, monkeypatch):
    plan = replace(PLAN, strict=False)
    setting = Setting(CFG, opts, images=1, batch_size=1, workers=0, is_train=False)
    rows = [Difference("boxes, 1", "5 and 5", 0.5, 100.0)]
    monkeypatch.setattr(infer, "check", lambda setting: rows)
    for side, number in (("peer_side", 3), ("our_side", 5)):
        found = [{"bbox": [{}] * number}]
        monkeypatch.setattr(infer, side, lambda *_, found=found: lambda: lambda: found)
    report = run_infer(setting, plan, ["float32"])
    assert len(report.rows) == 2
    assert [line.split(",")[0] for line in report.unlike] == [
        "the two sides do not find the same",
        "the sides do not find as much",
    ]


@pytest.mark.parametrize(("name", "number"), [("cuda", None), ("cuda:1", 1)])
def test_the_device_of_a_benchmark_is_made_the_current_one(opts, monkeypatch, name, number):
    current = []

    def set_device(device):
        current.append(_get_device_index(device))  # which needs a number

    monkeypatch.setattr(torch.cuda, "set_device", set_device)
    monkeypatch.setattr(setting_module, "resolve_device", torch.device)
    opts = (*opts, "DEVICE", name)
    setting = Setting(CFG, opts, images=1, batch_size=1, workers=0, is_train=False)
    assert setting.device() == torch.device(name)
    assert current == ([] if number is None else [number])


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


def test_what_is_no_number_is_too_far():
    assert infer.too_far([Difference("scores, 1", "4 and 4", float("nan"), 1.0)])
    assert train.LossDifference("loss_x", float("nan"), 1.0, 0.1).is_too_far
    assert train.LossDifference("loss_x", 1.0, 1.0, float("nan")).is_too_far


def test_sides_with_unequal_work_are_not_timed(opts, monkeypatch):
    setting = Setting(CFG, opts, images=2, batch_size=1, workers=0, is_train=False)
    one_more = {"bbox": [{}] * 6}
    monkeypatch.setattr(infer, "our_side", lambda *_: lambda: lambda: [one_more] * 2)
    with pytest.raises(ValueError, match=r"do not find as much.*fp32 10, Pet fp32 12"):
        run_infer(setting, PLAN, ["float32"])


def test_both_sides_sample_as_the_config_says(opts):
    sampling = ("FAST_RCNN.BATCH_SIZE_PER_IMAGE", "64", "RPN.POSITIVE_FRACTION", "0.25")
    setting = Setting(CFG, (*opts, *sampling), images=2, batch_size=1, workers=0, is_train=True)
    peer = setting.peer()
    assert peer.roi_heads.fg_bg_sampler.batch_size_per_image == 64
    assert peer.rpn.fg_bg_sampler.positive_fraction == 0.25


def test_training_that_is_not_compared_is_refused(opts):
    file = "cfgs/rcnn/torchvision/retinanet_resnet50_fpn.yaml"
    setting = Setting(file, opts, images=1, batch_size=1, workers=0, is_train=True)
    with pytest.raises(ValueError, match="of retinanet_resnet50_fpn is not compared"):
        run_train(setting, PLAN, ["float32"], steps=1)


def test_more_workers_than_processors_are_refused(opts):
    with pytest.raises(ValueError, match="100000 workers were asked for; give 0 to"):
        Setting(CFG, opts, images=1, batch_size=1, workers=100_000, is_train=True)


@pytest.mark.parametrize("side", [loader.our_side, partial(loader.peer_side, resize=True)])
def test_no_worker_outlives_its_turn(opts, side):
    setting = Setting(CFG, opts, images=4, batch_size=2, workers=1, is_train=True)
    work = side(setting, batches=2)
    turn = work()
    assert multiprocessing.active_children()
    turn()
    del turn
    assert not multiprocessing.active_children()
