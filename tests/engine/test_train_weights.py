"""A run that starts from the weights of another: as many classes, and others."""

import json

import pytest
import torch

from pet.engine.train import run_training
from tests.engine.tiny_run import draw_few_shapes, tiny_cfg

LAYER = "Fast_RCNN.predictor.cls_score.weight"


@pytest.mark.parametrize("reinit", [True, False])
def test_weights_for_as_many_other_classes(monkeypatch, tmp_path, reinit):
    draw_few_shapes(monkeypatch, tmp_path / "data")
    run_training("tiny.yaml", tiny_cfg(tmp_path, SOLVER__MAX_ITER=1))
    weights = tmp_path / "run" / "model_latest.pth"
    annotations = tmp_path / "data" / "shapes" / "annotations" / "instances_train.json"
    content = json.loads(annotations.read_text())
    for category in content["categories"]:
        category["name"] = f"my {category['name']}"
    (tmp_path / "mine.json").write_text(json.dumps(content))
    cfg = tiny_cfg(
        tmp_path,
        CKPT=str(tmp_path / "mine"),
        TRAIN__WEIGHTS=str(weights),
        TRAIN__REINIT_MISMATCHED=reinit,
        TRAIN__DATASETS=("mine",),
        DATASETS__mine__IMAGES=str(tmp_path / "data" / "shapes" / "train"),
        DATASETS__mine__ANNOTATIONS=str(tmp_path / "mine.json"),
        SOLVER__MAX_ITER=1,
        SOLVER__BASE_LR=1e-6,
        SEED=7,
    )
    run_training("tiny.yaml", cfg)
    log = (tmp_path / "mine" / "log.txt").read_text()
    first = content["categories"][0]["name"]
    kept = f"trained for other classes: '{first}' was '{first.removeprefix('my ')}'"
    assert (kept in log) == (not reinit)
    assert ("for other classes or keypoints, left at their start: Fast_RCNN (4)" in log) == reinit
    one, other = (
        torch.load(path, weights_only=True)["model"][LAYER]
        for path in (weights, tmp_path / "mine" / "model_latest.pth")
    )
    assert torch.allclose(one, other, atol=1e-4) == (not reinit)
