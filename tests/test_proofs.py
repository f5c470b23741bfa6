"""Proofs that take many minutes: a recipe, run as a user would, reaches what is claimed for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[1]


def run_recipe(cfg: str, folder: Path, *opts: str) -> dict[str, dict[str, float]]:
    """Train and test ``cfg`` by the command-line tools; return the scores of its data set."""
    for tool in ("train_net.py", "test_net.py"):
        command = [sys.executable, f"tools/rcnn/{tool}", "--cfg", cfg, "CKPT", str(folder), *opts]
        subprocess.run(command, cwd=_ROOT, check=True)
    (metrics,) = (folder / "test").glob("*/metrics.json")
    return json.loads(metrics.read_text())


@pytest.mark.slow
def test_the_quickstart_learns_the_shapes(tmp_path):
    scores = run_recipe(
        "cfgs/rcnn/shapes/quickstart_e2e_mask_rcnn_R-18-FPN.yaml",
        tmp_path / "run",
        "DATA_DIR",
        str(tmp_path / "data"),
    )
    assert scores["bbox"]["AP"] >= 0.60
    assert scores["segm"]["AP"] >= 0.60


@pytest.mark.slow
def test_mask_rcnn_overfits_eight_real_pictures(tmp_path, coco_mini):
    scores = run_recipe(
        "cfgs/rcnn/coco_mini/overfit_e2e_mask_rcnn_R-18-FPN.yaml",
        tmp_path / "run",
        "DATA_DIR",
        str(coco_mini),
    )
    assert scores["bbox"]["AP"] >= 0.60
    assert scores["segm"]["AP"] >= 0.45


@pytest.mark.slow
def test_cascade_mask_rcnn_overfits_eight_real_pictures(tmp_path, coco_mini):
    scores = run_recipe(
        "cfgs/rcnn/coco_mini/overfit_e2e_cascade_mask_rcnn_R-18-FPN.yaml",
        tmp_path / "run",
        "DATA_DIR",
        str(coco_mini),
    )
    assert scores["bbox"]["AP"] >= 0.60
    assert scores["segm"]["AP"] >= 0.45


@pytest.mark.slow
def test_keypoints_and_masks_overfit_eight_real_pictures(tmp_path, coco_mini):
    scores = run_recipe(
        "cfgs/rcnn/coco_mini/overfit_e2e_keypoint_mask_rcnn_R-18-FPN.yaml",
        tmp_path / "run",
        "DATA_DIR",
        str(coco_mini),
    )
    assert scores["bbox"]["AP"] >= 0.60
    assert scores["segm"]["AP"] >= 0.45
    assert scores["keypoints"]["AP"] >= 0.50
