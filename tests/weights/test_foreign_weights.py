"""Loading weights that others published, and what they need of the config."""

import logging
import pickle
from pathlib import Path

import pytest
import torch

from pet.checkpoint.checkpointer import Checkpointer
from pet.modeling.build import build_model
from pet.weights.convert import read_foreign_weights, write_weights
from pet.weights.import_weights import import_weights
from pet.weights.load import load_weights
from tests.weights.foreign_states import caffe2_trunk, small_detectron2_detector
from tests.weights.foreign_states import filled as filled_shapes
from tests.weights.small_model import Holds, SmallModel, make_run
from tests.weights.small_torchvision import FAMILY, small_cfg, small_mask_rcnn

DETECTRON2 = small_detectron2_detector()


def write_pickle(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    arrays = {key: value.numpy() for key, value in filled_shapes(shapes).items()}
    path.write_bytes(pickle.dumps({"model": arrays}, protocol=2))
    return path


def test_a_detector_of_torchvision_loads_strictly(tmp_path, caplog):
    cfg = small_cfg(tmp_path, **FAMILY)
    torch.save(small_mask_rcnn(), tmp_path / "w.pth")
    model = build_model(cfg=cfg)
    report = load_weights(model, tmp_path / "w.pth", strict=True, cfg=cfg)
    assert report.format == "torchvision detector"
    assert (report.skipped, report.missing, report.mismatched) == ((), (), ())
    assert set(report.loaded) == set(model.state_dict())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    expected = small_mask_rcnn()["roi_heads.mask_predictor.conv5_mask.weight"]
    assert torch.equal(model.Mask_RCNN.predictor.deconv.weight, expected)


def test_a_pickle_of_detectron2_loads_strictly(tmp_path):
    path = write_pickle(tmp_path / "w.pkl", DETECTRON2 | {"pixel_mean": (3, 1, 1)})
    state = import_weights(path).state
    model = Holds(dict(state))
    report = load_weights(model, path, strict=True)
    assert report.not_needed == ("pixel_mean",)
    assert str(report).splitlines()[1] == "  not needed: pixel_mean"
    assert all(torch.equal(model.held[key], state[key]) for key in state)


def test_one_warning_names_every_key_that_the_weights_need(tmp_path, fresh_cfg, caplog):
    path = write_pickle(tmp_path / "w.pkl", DETECTRON2)
    load_weights(Holds(dict(import_weights(path).state)), path, strict=True, cfg=fresh_cfg)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 1
    lines = [line.strip() for line in warnings[0].splitlines()]
    assert "INPUT.CHANNEL_ORDER: RGB in the config, BGR for these weights" in lines
    assert "BACKBONE.STRIDE_IN_1X1: False in the config, True for these weights" in lines
    assert "INPUT.INTERPOLATION: opencv in the config, pil for these weights" in lines
    assert "cfgs/rcnn/detectron2/" in lines[-1]


def test_a_trunk_warns_of_what_concerns_the_trunk_alone(tmp_path, fresh_cfg, caplog):
    path = write_pickle(tmp_path / "w.pkl", caffe2_trunk((1, 1, 1, 1), stem=2))
    load_weights(Holds(dict(import_weights(path).state)), path, cfg=fresh_cfg)
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    keys = [line.split(":")[0].strip() for line in warning.splitlines()[1:-1]]
    assert keys == [
        "INPUT.CHANNEL_ORDER",
        "INPUT.PIXEL_MEAN",
        "INPUT.PIXEL_STD",
        "BACKBONE.STRIDE_IN_1X1",
    ]


def test_a_converted_file_still_knows_what_it_needs(tmp_path, fresh_cfg, caplog):
    path = write_pickle(tmp_path / "w.pkl", DETECTRON2)
    write_weights(read_foreign_weights(path), tmp_path / "w.pth")
    model = Holds(dict(import_weights(path).state))
    load_weights(model, path, cfg=fresh_cfg)
    load_weights(model, tmp_path / "w.pth", cfg=fresh_cfg)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert warnings[0].splitlines()[1:] == warnings[1].splitlines()[1:]


def test_a_checkpoint_of_pet_needs_nothing(tmp_path, fresh_cfg, caplog):
    Checkpointer(tmp_path).save(*make_run())
    fresh_cfg.INPUT.CHANNEL_ORDER = "BGR"
    load_weights(SmallModel(), tmp_path / "model_latest.pth", strict=True, cfg=fresh_cfg)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("strict", [True, False])
def test_what_has_no_place_is_refused_and_nothing_is_loaded(tmp_path, strict):
    panoptic = {f"sem_seg_head.p{i}.0.weight": (1,) for i in range(1, 13)}
    path = write_pickle(tmp_path / "w.pkl", DETECTRON2 | panoptic)
    model = Holds({"Conv_Body.conv1.weight": torch.zeros(64, 3, 7, 7)})
    with pytest.raises(ValueError, match=r"12 keys have no place in Pet .*semantic.*and 4 more"):
        load_weights(model, path, strict=strict)
    assert not model.held["Conv_Body.conv1.weight"].any()
