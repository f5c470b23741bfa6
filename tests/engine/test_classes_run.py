"""Weights tested on a data set whose CLASSES have another order, and one class more."""

import json
from pathlib import Path

import pytest
import torch

from pet.engine.inference import run_test
from pet.engine.train import run_training
from tests.engine.tiny_run import tiny_cfg

NAMES = ("circle", "cross", "square", "star", "triangle")
OTHERS = ("hexagon", *NAMES[::-1])


def shapes_as(folder: Path, split: str, classes: tuple[str, ...]) -> dict:
    """Return the keys of the data set ``mine``: the shapes of ``split``, of ``classes``."""
    root = folder / "data" / "shapes"
    return {
        "DATASETS__mine__IMAGES": str(root / split),
        "DATASETS__mine__ANNOTATIONS": str(root / "annotations" / f"instances_{split}.json"),
        "DATASETS__mine__CLASSES": classes,
    }


def results(folder: Path, name: str) -> tuple[dict, list]:
    path = folder / "run" / "test" / name
    metrics = json.loads((path / "metrics.json").read_text())["bbox"]
    return metrics, json.loads((path / "bbox.json").read_text())


def test_the_order_changes_no_figure(folder):
    run_training("tiny.yaml", tiny_cfg(folder, SOLVER__MAX_ITER=2))
    run_test(tiny_cfg(folder), nproc=1)
    plain, found = results(folder, "shapes_val")
    run_test(
        tiny_cfg(folder, TEST__DATASETS=("mine",), **shapes_as(folder, "val", OTHERS)), nproc=1
    )
    metrics, again = results(folder, "mine")
    assert again == found and found  # the categories are those of the file
    assert list(metrics["per_class"]) == list(OTHERS)
    assert metrics["per_class"] == {"hexagon": None, **plain["per_class"]}
    assert metrics["AP"] == pytest.approx(plain["AP"])
    assert "the weights lack hexagon" in (folder / "run" / "log.txt").read_text()


def test_a_model_for_classes_that_the_file_lacks_is_trained_and_tested(folder):
    keys = {"TRAIN__DATASETS": ("mine",), "SOLVER__MAX_ITER": 2}
    run_training("tiny.yaml", tiny_cfg(folder, **keys, **shapes_as(folder, "train", OTHERS)))
    weights = torch.load(folder / "run" / "model_latest.pth", weights_only=True)
    assert tuple(weights["class_names"]) == OTHERS
    assert len(weights["model"]["Fast_RCNN.predictor.cls_score.bias"]) == 7
    keys = {"TEST__DATASETS": ("mine",), **shapes_as(folder, "val", OTHERS)}
    run_test(tiny_cfg(folder, **keys), nproc=1)
    metrics, found = results(folder, "mine")
    assert list(metrics["per_class"]) == list(OTHERS) and metrics["per_class"]["hexagon"] is None
    # Found hexagons are under the id that no category of the file has.
    assert {record["category_id"] for record in found} <= {1, 2, 3, 4, 5, 6}
