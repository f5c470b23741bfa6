"""Which ground-truth box each candidate box belongs to.

A candidates, G ground-truth boxes.
"""

import torch
from torch import Tensor

FOREGROUND, BACKGROUND, IGNORED = 1, 0, -1


def match_boxes(
    iou: Tensor, fg_thresh: float, bg_thresh: float, allow_low_quality: bool = False
) -> tuple[Tensor, Tensor]:
    """Match each candidate to the ground-truth box that it overlaps most.

    ``iou`` (G, A). Returns (A,) int64 index of the box (0 where there is none) and (A,) int64
    ``FOREGROUND`` from ``fg_thresh`` on, ``BACKGROUND`` below ``bg_thresh``, else ``IGNORED``.
    With ``allow_low_quality`` the candidates that overlap a box best are foreground whatever
    their IoU, if it is above 0 (Faster R-CNN, section 3.1.2).
    """
    if not iou.shape[0]:
        none = torch.zeros(iou.shape[1], dtype=torch.long, device=iou.device)
        return none, torch.full_like(none, BACKGROUND)
    best, index = iou.max(dim=0)
    foreground = best >= fg_thresh
    if allow_low_quality:
        best_of_gt = iou.max(dim=1, keepdim=True).values
        foreground |= ((iou == best_of_gt) & (best_of_gt > 0)).any(dim=0)
    # Not labels[mask] = value, which waits for the device.
    labels = torch.full_like(index, IGNORED).masked_fill(best < bg_thresh, BACKGROUND)
    return index, labels.masked_fill(foreground, FOREGROUND)
