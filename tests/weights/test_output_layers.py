"""Weights for other classes or keypoints than the data's, though for as many."""

import logging
import re

import pytest
import torch

from pet.checkpoint.checkpointer import Checkpointer
from pet.structures import KeypointLayout
from pet.weights.import_weights import import_weights
from pet.weights.load import load_weights
from pet.weights.load_report import Mismatch
from pet.weights.output_layers import different, is_of_classes, of_other_meaning
from tests.weights.small_model import Holds, SmallModel, make_run

K = 3  # with the background
CLASS_LAYERS = {
    "Fast_RCNN.predictor.cls_score.weight": (K, 5),
    "Fast_RCNN.predictor.bbox_pred.bias": (K * 4,),
    "Cascade_RCNN.stages.2.predictor.cls_score.bias": (K,),
    "Mask_RCNN.predictor.mask_logits.weight": (K, 5, 1, 1),
    "RetinaNet.head.cls_logits.bias": (9 * 2,),
}
OTHER_LAYERS = {
    "Conv_Body.conv1.weight": (2, 3, 7, 7),
    "RPN.head.cls_logits.bias": (K,),
    "RPN.head.bbox_pred.bias": (K * 4,),
    "Fast_RCNN.head.fc1.bias": (5,),
    "Cascade_RCNN.stages.2.predictor.bbox_pred.bias": (4,),
    "Mask_RCNN.predictor.deconv.bias": (5,),
    "RetinaNet.head.bbox_pred.bias": (36,),
}
POINT_LAYERS = {
    "Keypoint_RCNN.predictor.deconv.weight": (5, 3, 4, 4),
    "Keypoint_RCNN.predictor.deconv.bias": (3,),
}
STATE = {k: torch.ones(v) for k, v in (CLASS_LAYERS | OTHER_LAYERS | POINT_LAYERS).items()}
KNOWN = ("cat", "dog")
POINTS = ("left", "right", "nose")


@pytest.fixture
def file(tmp_path):
    content = {
        "model": STATE,
        "class_names": list(KNOWN),
        "keypoints": {"names": list(POINTS), "skeleton": []},
        "pet_version": "0",
    }
    torch.save(content, tmp_path / "w.pth")
    return tmp_path / "w.pth"


def warnings(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_layers_of_classes_and_of_points():
    classes, points = of_other_meaning(STATE, (KNOWN, ("cow", "dog")), (POINTS, ("a", "b", "c")))
    assert (classes.what, set(classes.keys)) == ("classes", CLASS_LAYERS.keys())
    assert (points.what, set(points.keys)) == ("keypoints", POINT_LAYERS.keys())
    assert of_other_meaning(STATE, (KNOWN, KNOWN), (POINTS, POINTS)) == []
    assert of_other_meaning(STATE, (KNOWN, ()), ((), POINTS)) == []
    without = {key: STATE[key] for key in OTHER_LAYERS}
    assert of_other_meaning(without, (KNOWN, ("a", "b")), (POINTS, ("a", "b", "c"))) == []


@pytest.mark.parametrize(
    ("trained", "present", "pairs"),
    [
        (("a", "b"), ("a", "b"), []),
        (("a", "b"), ("a", "c"), [("b", "c")]),
        (("a", "b"), ("b", "a"), [("a", "b"), ("b", "a")]),
        (("a", "N/A", "c"), ("a", "b", "N/A"), []),
        ((), ("a",), []),
        (("a",), (), []),
    ],
)
def test_names_are_compared_output_by_output(trained, present, pairs):
    assert different(trained, present) == pairs


def test_weights_for_other_classes_are_kept_with_a_warning(file, caplog):
    model = Holds(STATE)
    report = load_weights(model, file, class_names=("cow", "dog"))
    assert all(value.all() for value in model.held.values())
    assert (set(report.loaded), report.other_meaning) == (STATE.keys(), ())
    (warning,) = warnings(caplog)
    assert warning == (
        f"the weights of {file} were trained for other classes: 'cow' was 'cat'; their layers were "
        "kept as they are (Fast_RCNN (2), Cascade_RCNN (1), Mask_RCNN (1), RetinaNet (1)): "
        "TRAIN.REINIT_MISMATCHED True starts them at random"
    )


def test_they_start_at_random_where_asked(file, caplog):
    model = Holds(STATE)
    with caplog.at_level(logging.INFO, "pet"):
        report = load_weights(model, file, reinit_mismatched=True, class_names=("cow", "dog"))
    assert {key for key, value in model.held.items() if not value.any()} == CLASS_LAYERS.keys()
    assert set(report.other_meaning) == CLASS_LAYERS.keys()
    assert set(report.loaded) == (OTHER_LAYERS | POINT_LAYERS).keys()
    assert warnings(caplog) == []
    (line,) = [line for line in str(report).splitlines() if "for other classes" in line]
    assert line.startswith("  for other classes or keypoints, left at their start: Fast_RCNN (2): ")


def test_the_same_classes_in_another_order(file, caplog):
    load_weights(Holds(STATE), file, class_names=("dog", "cat"))
    (warning,) = warnings(caplog)
    assert "for the same classes in another order: 'dog' was 'cat', 'cat' was 'dog'; " in warning
    model = Holds(STATE)
    load_weights(model, file, reinit_mismatched=True, class_names=("dog", "cat"))
    assert not model.held["Mask_RCNN.predictor.mask_logits.weight"].any()


def test_other_keypoints(file, caplog):
    layout = KeypointLayout(("left", "right", "beak"))
    load_weights(Holds(STATE), file, class_names=KNOWN, keypoints=layout)
    (warning,) = warnings(caplog)
    assert "trained for other keypoints: 'beak' was 'nose'; their layers" in warning
    assert "(Keypoint_RCNN (2))" in warning
    model = Holds(STATE)
    load_weights(model, file, reinit_mismatched=True, class_names=KNOWN, keypoints=layout)
    assert {key for key, value in model.held.items() if not value.any()} == POINT_LAYERS.keys()


@pytest.mark.parametrize("reinit", [True, False])
def test_the_same_names_or_none_change_nothing(file, caplog, reinit):
    for names, points in ((KNOWN, POINTS), ((), ())):
        model = Holds(STATE)
        layout = KeypointLayout(points) if points else None
        load_weights(model, file, reinit, class_names=names, keypoints=layout)
        assert all(value.all() for value in model.held.values())
    assert warnings(caplog) == []


def test_many_classes_do_not_flood(tmp_path, caplog):
    names = tuple("abcdef")
    Checkpointer(tmp_path, class_names=names).save(*make_run(classes=7))
    path = tmp_path / "model_latest.pth"
    load_weights(SmallModel(7), path, class_names=("a", *"ghijk"))
    (warning,) = warnings(caplog)
    assert "'g' was 'b', 'h' was 'c', 'i' was 'd' and 2 more; their layers" in warning


def test_other_classes_and_another_number_of_them(file, caplog):
    larger = {k: torch.ones(v[0] // K * 5, *v[1:]) for k, v in CLASS_LAYERS.items()}
    model = Holds(STATE | larger)
    load_weights(model, file, reinit_mismatched=True, class_names=("cow", "emu", "fox", "yak"))
    assert {key for key, value in model.held.items() if not value.any()} == CLASS_LAYERS.keys()


def test_weights_that_were_imported_before(file, monkeypatch):
    weights = import_weights(file)
    monkeypatch.setattr(torch, "load", None)  # to be called is an error
    model = Holds(STATE)
    report = load_weights(model, weights, strict=True)
    assert report.source == str(file)
    assert all(value.all() for value in model.held.values())
    with pytest.raises(ValueError, match=rf"nothing in {re.escape(str(file))} \(TRAIN"):
        load_weights(SmallModel(), weights)


def test_boxes_of_anchors_do_not_count_classes():
    key = "RetinaNet.head.bbox_pred.bias"
    assert not is_of_classes(key)
    assert not Mismatch(key, (36,), (12,)).looks_like_class_count
    assert Mismatch("RetinaNet.head.cls_logits.bias", (36,), (12,)).looks_like_class_count
