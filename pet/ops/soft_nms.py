"""Soft-NMS (Bodla et al. 2017): overlapping a better box lowers a box's score."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pet.ops.boxes import box_iou


@dataclass(frozen=True, kw_only=True)
class SoftNMSRule:
    """The rule by which scores decay for boxes that overlap a better box of their group."""

    method: str = "linear"  # "linear" or "gaussian"
    sigma: float = 0.5  # width of the Gaussian, in IoU²
    score_thresh: float = 0.0001  # boxes with this score or less are dropped


def _linear(iou: Tensor, iou_thresh: float, sigma: float) -> Tensor:
    return torch.where(iou > iou_thresh, 1 - iou, torch.ones_like(iou))


def _gaussian(iou: Tensor, iou_thresh: float, sigma: float) -> Tensor:
    return torch.exp(-(iou**2) / sigma)


#: SoftNMSRule.method -> (IoU, IoU threshold, sigma) -> the factor on the score.
SOFT_NMS_METHODS: Mapping[str, Callable[[Tensor, float, float], Tensor]] = {
    "linear": _linear,
    "gaussian": _gaussian,
}


def soft_nms_by_group(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    iou_thresh: float,
    rule: SoftNMSRule,
    max_count: int,
) -> tuple[Tensor, Tensor]:
    """Return the indices (n,) int64 of the best boxes and their new scores (n,), best first.

    ``boxes`` (N, 4) xyxy of one image, ``scores`` (N,) in 0..1, ``groups`` (N,) int64: a box lowers
    only scores of its own group (class). The best box is kept, the scores of the others of its
    group decay, and so on, at most ``max_count`` times (figure 2 of the paper). "linear" multiplies
    a score by 1 - IoU if the IoU is above ``iou_thresh`` (equation 1), "gaussian" always by
    exp(-IoU² / sigma) (equation 2).
    """
    factor = SOFT_NMS_METHODS[rule.method]
    boxes, remaining = boxes.float(), scores.float().clone()
    index, kept = [], []
    # Groups are independent, so the best box of all groups is taken each time. The number of steps
    # does not depend on the values, so nothing synchronises with the device.
    for _ in range(min(max_count, len(scores))):
        score, best = remaining.max(dim=0, keepdim=True)
        index.append(best)
        kept.append(score)
        decay = factor(box_iou(boxes[best], boxes)[0], iou_thresh, rule.sigma)
        remaining = torch.where(groups == groups[best], remaining * decay, remaining)
        remaining = remaining.index_fill(0, best, -1)  # taken
    if not index:
        return groups.new_zeros(0), remaining
    order, found = torch.cat(index), torch.cat(kept)
    above = found > rule.score_thresh
    return order[above], found[above]
