from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pet.modeling.postprocessing import (
    DetectionRule,
    build_detection_rule,
    join_views,
    select_detections,
)
from pet.ops.boxes import decode_boxes
from pet.ops.soft_nms import SoftNMSRule
from pet.structures import Detections
from tests.modeling.rcnn.small import NUM_CLASSES, random_boxes

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
SIZE = (96, 128)
RULE = DetectionRule(score_thresh=0.05, nms_thresh=0.5, max_per_image=10)


def random_candidates(count: int = 120) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(count, NUM_CLASSES, generator=generator) * 2
    deltas = torch.randn(count, NUM_CLASSES, 4, generator=generator)
    boxes = decode_boxes(deltas, random_boxes(count, SIZE)[:, None], WEIGHTS)
    return boxes, logits.softmax(1)


def test_the_background_is_never_detected():
    boxes, scores = random_candidates()
    scores[:] = torch.tensor([0.97, 0.01, 0.01, 0.01])
    assert len(select_detections(boxes, scores, SIZE, RULE)) == 0


def test_the_score_must_lie_above_the_threshold():
    boxes = torch.tensor([[[0.0, 0.0, 9.0, 9.0]] * 3])
    scores = torch.tensor([[0.0, 0.5, 0.5 + 1e-6]])
    found = select_detections(
        boxes, scores, SIZE, DetectionRule(score_thresh=0.5, nms_thresh=0.5, max_per_image=10)
    )
    assert found.labels.tolist() == [2]


def test_an_roi_may_be_found_as_two_classes_but_once_as_each():
    box = [0.0, 0.0, 9.0, 9.0]
    scores = torch.tensor([[0.1, 0.5, 0.4], [0.2, 0.7, 0.1]])
    found = select_detections(torch.tensor([[box] * 3] * 2), scores, SIZE, RULE)
    assert found.labels.tolist() == [1, 2]
    assert found.scores.tolist() == pytest.approx([0.7, 0.4])


def test_the_best_of_an_image_are_kept():
    boxes, scores = random_candidates()
    every = select_detections(
        boxes, scores, SIZE, DetectionRule(score_thresh=0.0, nms_thresh=0.5, max_per_image=10_000)
    )
    best = select_detections(
        boxes, scores, SIZE, DetectionRule(score_thresh=0.0, nms_thresh=0.5, max_per_image=7)
    )
    assert len(every) > len(best) == 7
    assert torch.equal(best.scores, every.scores[:7])
    assert (every.scores.diff() <= 0).all()


def test_boxes_are_clipped_and_small_ones_dropped_before_the_best_are_counted():
    inside, outside = [0.0, 0.0, 128.0, 50.0], [128.0, 5.0, 128.0, 20.0]
    boxes = torch.tensor([[[-5.0, -5.0, 200.0, 50.0]] * 2, [[130.0, 5.0, 140.0, 20.0]] * 2])
    scores = torch.tensor([[0.1, 0.8], [0.1, 0.9]])
    found = select_detections(
        boxes,
        scores,
        SIZE,
        DetectionRule(score_thresh=0.05, nms_thresh=0.5, max_per_image=10, min_size=0.01),
    )
    assert found.boxes.tolist() == [inside]
    # Without a least side an empty box stays until the results, and takes a place among the best.
    assert select_detections(boxes, scores, SIZE, RULE).boxes.tolist() == [outside, inside]
    one = select_detections(
        boxes, scores, SIZE, DetectionRule(score_thresh=0.05, nms_thresh=0.5, max_per_image=1)
    )
    assert one.boxes.tolist() == [outside]
    assert len(one.resized((30, 64))) == 0


def test_broken_numbers_are_not_detected():
    boxes, scores = random_candidates(4)
    boxes[0] = float("nan")
    scores[1] = float("nan")
    found = select_detections(
        boxes, scores, SIZE, DetectionRule(score_thresh=0.0, nms_thresh=1.0, max_per_image=100)
    )
    assert len(found) == 2 * (NUM_CLASSES - 1)
    assert torch.isfinite(found.boxes).all() and torch.isfinite(found.scores).all()


def test_soft_nms_keeps_what_plain_nms_drops():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0]])[:, None]
    scores = torch.tensor([[0.1, 0.9, 0.0], [0.1, 0.6, 0.3]])
    plain = select_detections(boxes, scores, SIZE, RULE)
    assert plain.labels.tolist() == [1, 2]
    soft = select_detections(
        boxes, scores, SIZE, replace(RULE, soft_nms=SoftNMSRule(method="linear"))
    )
    assert soft.labels.tolist() == [1, 2, 1]
    # The overlap is 0.8, so a fifth of 0.6 is left.
    assert soft.scores.tolist() == pytest.approx([0.9, 0.3, 0.12])
    assert soft.boxes[2].tolist() == [0, 0, 10, 8]


def test_the_config_chooses_soft_nms(fresh_cfg):
    assert build_detection_rule(fresh_cfg).soft_nms is None
    fresh_cfg.TEST.SOFT_NMS.ENABLED = True
    fresh_cfg.TEST.SOFT_NMS.METHOD = "gaussian"
    rule = build_detection_rule(fresh_cfg)
    assert rule.soft_nms == SoftNMSRule(method="gaussian", sigma=0.5, score_thresh=0.0001)


def seen(boxes: list[list[float]], scores: list[float], ages: list[int]) -> Detections:
    labels = torch.ones(len(scores), dtype=torch.int64)
    extras = {"age": torch.tensor(ages)}
    return Detections(torch.tensor(boxes), torch.tensor(scores), labels, SIZE, extras=extras)


def test_views_are_joined_best_first_with_all_that_is_known_of_a_box():
    # The second view sees the first view's box a little lower (IoU 8 / 12), and another one.
    one = seen([[0.0, 0.0, 10.0, 10.0]], [0.8], [3])
    other = seen([[0.0, 2.0, 10.0, 12.0], [50.0, 50.0, 60.0, 60.0]], [0.7, 0.9], [4, 5])
    joined = join_views([one, other], RULE)
    assert joined.boxes.tolist() == [[50.0, 50.0, 60.0, 60.0], [0.0, 0.0, 10.0, 10.0]]
    assert joined.scores.tolist() == pytest.approx([0.9, 0.8])
    assert joined.extras["age"].tolist() == [5, 3]
    soft = join_views([one, other], replace(RULE, soft_nms=SoftNMSRule(method="linear")))
    assert soft.extras["age"].tolist() == [5, 3, 4]
    assert soft.scores[2].item() == pytest.approx(0.7 * (1 - 8 / 12))
