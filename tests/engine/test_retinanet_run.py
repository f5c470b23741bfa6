"""RetinaNet in the loop: trained, resumed, tested, and asked."""

import json
from pathlib import Path

import pytest
import torch

from pet.config import CfgNode
from pet.engine.inference import run_test
from pet.engine.predictor import Predictor
from pet.engine.train import run_training
from tests.engine.saved_run import picture
from tests.engine.tiny_run import tiny_cfg


def retinanet_cfg(folder: Path, **changes: object) -> CfgNode:
    return tiny_cfg(
        folder,
        MODEL__MASK_ON=False,
        MODEL__RETINANET_ON=True,
        FPN__BODY="fpn_p6p7",
        RETINANET__NUM_CONVS=1,
        RETINANET__SCORE_THRESH=0.0,
        RETINANET__DETECTIONS_PER_IMG=20,
        RETINANET__LOSS_NORMALIZER="average",
        **changes,
    )


def state_of(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "model_latest.pth", weights_only=True)["model"]


def test_a_resumed_run_equals_one_that_was_never_interrupted(folder):
    run_training("tiny.yaml", retinanet_cfg(folder, CKPT=str(folder / "whole")))
    run_training("tiny.yaml", retinanet_cfg(folder, SOLVER__MAX_ITER=2))
    run_training("tiny.yaml", retinanet_cfg(folder))
    one, other = state_of(folder / "whole"), state_of(folder / "run")
    assert one["RetinaNet.loss_average"] != 100
    for key, value in one.items():
        assert torch.equal(value, other[key]), key


def test_a_trained_model_is_tested_and_asked(folder):
    run_training("tiny.yaml", retinanet_cfg(folder, SOLVER__MAX_ITER=2))
    run_test(retinanet_cfg(folder))
    boxes = json.loads((folder / "run" / "test" / "shapes_val" / "bbox.json").read_text())
    assert boxes and {record["category_id"] for record in boxes} <= {1, 2, 3, 4, 5}

    # The classes come from the weights; the average is of training alone.
    cfg = retinanet_cfg(folder, MODEL__NUM_CLASSES=-1, TEST__BBOX_AUG__ENABLED=True)
    cfg.defrost()
    cfg.RETINANET.LOSS_NORMALIZER = "batch"
    predictor = Predictor(cfg)
    assert predictor.cfg.MODEL.NUM_CLASSES == 6 and predictor.class_names[0] == "circle"
    found = predictor(picture(150, 200))
    assert 0 < len(found) <= 20 and found.boxes[:, 2].max() > 100
    assert set(found.labels.tolist()) <= {1, 2, 3, 4, 5} and found.masks is None


def test_weights_of_other_classes_are_told(folder):
    run_training("tiny.yaml", retinanet_cfg(folder, SOLVER__MAX_ITER=2))
    with pytest.raises(ValueError, match="the number of classes differs"):
        Predictor(retinanet_cfg(folder, MODEL__NUM_CLASSES=4))
