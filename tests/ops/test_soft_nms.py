import math

import pytest
import torch
from torch import Tensor

from pet.ops.boxes import box_iou
from pet.ops.nms import nms_by_group
from pet.ops.soft_nms import SOFT_NMS_METHODS, SoftNMSRule, soft_nms_by_group
from tests.modeling.rcnn.small import random_boxes

# The IoU of the first two is 50 / 100, of the next two 25 / 50, of the first and third 25 / 100.
BOXES = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 5, 5], [50, 50, 60, 60]]).float()
SCORES = torch.tensor([0.9, 0.8, 0.6, 0.1])
ONE_CLASS = torch.ones(4, dtype=torch.long)


def soft_nms(rule: SoftNMSRule, groups: Tensor = ONE_CLASS, iou=0.4, count=100):
    index, scores = soft_nms_by_group(BOXES, SCORES, groups, iou, rule, count)
    return index.tolist(), scores.tolist()


def test_linear_by_hand():
    # The second falls to 0.8 * 0.5, behind the third, for which it falls again, by as much.
    index, scores = soft_nms(SoftNMSRule(method="linear"))
    assert index == [0, 2, 1, 3]
    assert scores == pytest.approx([0.9, 0.6, 0.2, 0.1])
    # From an IoU above the threshold on, not at it.
    index, scores = soft_nms(SoftNMSRule(method="linear"), iou=0.5)
    assert index == [0, 1, 2, 3]
    assert scores == pytest.approx(SCORES.tolist())


def test_gaussian_by_hand():
    index, scores = soft_nms(SoftNMSRule(method="gaussian", sigma=0.5))
    # Of the second exp(-0.25 / 0.5) is left, 0.485; of the third exp(-0.0625 / 0.5), 0.529: it is
    # next, and takes as much from the second again.
    assert index == [0, 2, 1, 3]
    wanted = [0.9, 0.6 * math.exp(-0.125), 0.8 * math.exp(-0.5) * math.exp(-0.5), 0.1]
    assert scores == pytest.approx(wanted)


def test_classes_leave_each_other_alone():
    index, scores = soft_nms(SoftNMSRule(method="linear"), groups=torch.tensor([1, 2, 1, 2]))
    assert index == [0, 1, 2, 3]
    assert scores == pytest.approx(SCORES.tolist())


def test_what_has_fallen_is_dropped_and_the_best_are_counted():
    index, _ = soft_nms(SoftNMSRule(method="linear", score_thresh=0.15))
    assert index == [0, 2, 1]
    assert soft_nms(SoftNMSRule(method="linear"), count=2)[0] == [0, 2]


def test_equal_boxes_of_a_class_vanish():
    boxes, scores = BOXES[:1].expand(3, 4), torch.tensor([0.5, 0.5, 0.5])
    index, left = soft_nms_by_group(boxes, scores, ONE_CLASS[:3], 0.5, SoftNMSRule(), 10)
    assert index.tolist() == [0] and left.tolist() == [0.5]


@pytest.mark.parametrize("method", SOFT_NMS_METHODS)
def test_against_the_loop_of_the_paper(method):
    boxes = random_boxes(60, (60, 80))
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(60, generator=generator)
    groups = torch.randint(1, 3, (60,), generator=generator)
    rule = SoftNMSRule(method=method, sigma=0.5, score_thresh=0.01)
    wanted = {}
    for group in (1, 2):
        left = {n: scores[n].item() for n in range(60) if groups[n] == group}
        while left:
            best = max(left, key=lambda n: left[n])
            wanted[best] = left.pop(best)
            for n in left:
                iou = box_iou(boxes[best, None], boxes[n, None]).item()
                decay = 1 - iou if iou > 0.3 else 1.0
                left[n] *= decay if method == "linear" else math.exp(-iou * iou / 0.5)
    wanted = {n: score for n, score in wanted.items() if score > 0.01}
    index, found = soft_nms_by_group(boxes, scores, groups, 0.3, rule, 1000)
    assert (found.diff() <= 0).all()
    assert dict(zip(index.tolist(), found.tolist(), strict=True)) == pytest.approx(wanted, rel=1e-4)
    assert len(index) > len(nms_by_group(boxes, scores, groups, 0.3))


def test_no_boxes():
    index, scores = soft_nms_by_group(
        torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long(), 0.5, SoftNMSRule(), 10
    )
    assert index.shape == scores.shape == (0,) and index.dtype == torch.int64


def test_the_arguments_stay_as_they_are():
    before = SCORES.clone()
    soft_nms(SoftNMSRule(method="linear"))
    assert torch.equal(SCORES, before)
