"""A run with keypoints and masks, from training to scores and pictures."""

import json
from pathlib import Path

import pytest
import torch

from pet.config import default_cfg
from pet.engine import inference
from pet.engine.inference import run_test
from pet.engine.predict_files import predict_files
from pet.engine.predictor import Predictor
from pet.engine.show_data import show_training_data
from pet.engine.train import run_training
from tests.engine.tiny_run import tiny_cfg

NAMES = ("middle", "left_side", "right_side")
SKELETON = ((0, 1), (0, 2))


def add_points(file: Path) -> None:
    """Give every shape the middle and two sides of its box as keypoints, one of them hidden."""
    content = json.loads(file.read_text())
    for category in content["categories"]:
        category |= {"keypoints": list(NAMES), "skeleton": [[a + 1, b + 1] for a, b in SKELETON]}
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        middle = y + height / 2
        points = [x + width / 2, middle, 2, x, middle, 2, x + width, middle, 1]
        annotation |= {"keypoints": points, "num_keypoints": 3}
    file.write_text(json.dumps(content))


@pytest.fixture
def folder(folder) -> Path:
    """Return a folder with a few shapes, which have keypoints."""
    for file in (folder / "data").rglob("instances_*.json"):
        add_points(file)
    return folder


def keypoint_cfg(folder: Path, **changes):
    options = {
        "MODEL__KEYPOINT_ON": True,
        "KRCNN__NUM_CONVS": 1,
        "KRCNN__CONV_DIM": 8,
        "KRCNN__SIGMAS": (0.1, 0.1, 0.1),
        "FAST_RCNN__DETECTIONS_PER_IMG": 5,
    }
    return tiny_cfg(folder, **{**options, **changes})


def test_from_training_to_scores(folder):
    cfg = keypoint_cfg(folder)
    run_training("tiny.yaml", cfg)
    assert cfg.KRCNN.NUM_KEYPOINTS == 3
    records = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    assert "loss_keypoint" in records[-1] and "loss_mask" in records[-1]

    run_test(keypoint_cfg(folder, VIS__ENABLED=True, VIS__VIS_TH=0.0, VIS__MAX_IMAGES=1))
    results = folder / "run" / "test" / "shapes_val"
    records = json.loads((results / "keypoints.json").read_text())
    assert len(records) > 0
    assert set(records[0]) == {"image_id", "category_id", "keypoints", "score"}
    assert len(records[0]["keypoints"]) == 9
    metrics = json.loads((results / "metrics.json").read_text())
    assert list(metrics) == ["bbox", "segm", "keypoints"]
    assert 0 <= metrics["keypoints"]["AP"] <= 1
    assert len(list((folder / "run" / "vis" / "shapes_val").iterdir())) == 1
    log = (folder / "run" / "log.txt").read_text()
    assert "COCO keypoint scores (keypoints):" in log

    # The checkpoint says what the points are, and how many.
    weights = folder / "run" / "model_latest.pth"
    predictor = Predictor(keypoint_cfg(folder), weights)
    assert predictor.cfg.KRCNN.NUM_KEYPOINTS == 3
    assert (predictor.keypoint_layout.names, predictor.keypoint_layout.skeleton) == (
        NAMES,
        SKELETON,
    )
    image = next((folder / "data").rglob("000001.*"))
    predict_files([image], folder / "out", weights, keypoint_cfg(folder))
    [content] = [json.loads(path.read_text()) for path in (folder / "out").glob("*.json")]
    detection = content["detections"][0]
    found = predictor(image).keypoints[0] - torch.tensor([0.5, 0.5, 0.0])
    assert detection["keypoints"] == pytest.approx(found.flatten().tolist(), abs=1e-3)


def test_sigmas_are_asked_for_before_anything_is_tested(folder, monkeypatch):
    run_training("tiny.yaml", keypoint_cfg(folder, SOLVER__MAX_ITER=1))
    monkeypatch.setattr(inference, "build_model", None)  # to be called is an error
    with pytest.raises(ValueError, match=r"each of the 3 points .*KRCNN\.SIGMAS has 17"):
        run_test(keypoint_cfg(folder, KRCNN__SIGMAS=default_cfg().KRCNN.SIGMAS))


@pytest.mark.parametrize("sigmas", [(0.1, 0.1, 0.1), default_cfg().KRCNN.SIGMAS])
def test_training_warns_of_sigmas_that_testing_will_ask_for(folder, sigmas):
    run_training("tiny.yaml", keypoint_cfg(folder, SOLVER__MAX_ITER=1, KRCNN__SIGMAS=sigmas))
    log = (folder / "run" / "log.txt").read_text()
    warning = f"each of the 3 points of the data set, but KRCNN.SIGMAS has {len(sigmas)}"
    assert (warning in log) == (len(sigmas) == 17)


def test_data_sets_that_differ_in_their_points_are_named(folder):
    run_training("tiny.yaml", keypoint_cfg(folder, SOLVER__MAX_ITER=1))
    images = next((folder / "data").rglob("val"))
    content = json.loads(next((folder / "data").rglob("instances_val.json")).read_text())
    for category in content["categories"]:
        category |= {"keypoints": ["middle"], "skeleton": []}
    for annotation in content["annotations"]:
        annotation["keypoints"] = annotation["keypoints"][:3]
    (folder / "other.json").write_text(json.dumps(content))
    cfg = keypoint_cfg(
        folder,
        DATASETS__other__IMAGES=str(images),
        DATASETS__other__ANNOTATIONS=str(folder / "other.json"),
        TEST__DATASETS=("shapes_val", "other"),
    )
    with pytest.raises(ValueError, match=r"in their keypoints: {'shapes_val': 3, 'other': 1}"):
        run_test(cfg)


def test_training_data_are_shown_with_their_points(folder):
    lines: list[str] = []
    show_training_data(2, folder / "shown", lines.append, keypoint_cfg(folder))
    assert len(list((folder / "shown").iterdir())) == 2
    assert any("keypoint: (2, " in line and ", 3, 3)" in line for line in lines)


def test_weights_without_a_keypoint_branch_are_named(folder):
    run_training("tiny.yaml", tiny_cfg(folder, SOLVER__MAX_ITER=1))
    weights = folder / "run" / "model_latest.pth"
    with pytest.raises(ValueError, match=r"has no keypoint branch, which MODEL\.KEYPOINT_ON"):
        Predictor(keypoint_cfg(folder), weights)
