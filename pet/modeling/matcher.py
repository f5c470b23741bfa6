"""Matching candidate boxes to ground-truth boxes.

A candidates, G ground-truth boxes.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from pet.ops.boxes import box_iou

FOREGROUND, BACKGROUND, IGNORED = 1, 0, -1


# The most pairs of boxes whose IoU is in memory at once, in a few matrices of 4 bytes a pair. Small
# matrices are faster on a CPU; on a GPU, fewer operators are.
_MAX_PAIRS_CPU, _MAX_PAIRS = 2**22, 2**24


def match_boxes(
    gt_boxes: Tensor,
    candidates: Tensor,
    fg_thresh: float,
    bg_thresh: float,
    allow_low_quality: bool = False,
) -> tuple[Tensor, Tensor]:
    """Match each of ``candidates`` (A, 4) to the box of ``gt_boxes`` (G, 4) that it overlaps most.

    Returns the (A,) int64 index of the box (0 without boxes) and the (A,) int64 kind:
    ``FOREGROUND`` from an IoU of ``fg_thresh`` on, ``BACKGROUND`` below ``bg_thresh``, else
    ``IGNORED``. With ``allow_low_quality`` the candidates that overlap a box best are foreground
    at any IoU above 0 (Faster R-CNN, section 3.1.2).
    """
    most = _MAX_PAIRS_CPU if candidates.device.type == "cpu" else _MAX_PAIRS
    some = gt_boxes.split(max(most // max(len(candidates), 1), 1))
    iou = (box_iou(boxes, candidates) for boxes in some)
    return match_overlaps(iou, fg_thresh, bg_thresh, allow_low_quality)


def match_overlaps(
    iou: Iterable[Tensor], fg_thresh: float, bg_thresh: float, allow_low_quality: bool = False
) -> tuple[Tensor, Tensor]:
    """Match as ``match_boxes``, given the IoU matrix (G, A) in chunks of rows.

    ``iou`` yields one or more (g, A), in order; g may be 0.
    """
    boxes_before = 0
    for rows in iou:
        if not boxes_before:
            best = rows.new_full((rows.shape[1],), -1.0)
            index = torch.zeros_like(best, dtype=torch.long)
            lifted = torch.zeros_like(best, dtype=torch.bool)
        if rows.numel():
            best_of_rows, place = rows.max(dim=0)
            index = torch.where(best_of_rows > best, place + boxes_before, index)
            best = torch.maximum(best, best_of_rows)
            if allow_low_quality:
                best_of_gt = rows.max(dim=1, keepdim=True).values
                lifted |= ((rows == best_of_gt) & (best_of_gt > 0)).any(dim=0)
        boxes_before += len(rows)
    # Not labels[mask] = value, as that waits for the device.
    labels = torch.full_like(index, IGNORED).masked_fill(best < bg_thresh, BACKGROUND)
    return index, labels.masked_fill((best >= fg_thresh) | lifted, FOREGROUND)
