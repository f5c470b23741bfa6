"""Non-maximum suppression over several groups of boxes at once."""

from torch import Tensor
from torchvision.ops import batched_nms


def nms_by_group(boxes: Tensor, scores: Tensor, groups: Tensor, iou_thresh: float) -> Tensor:
    """Return the indices (n,) int64 of the boxes that survive, best score first.

    ``boxes`` (N, 4) xyxy of one image, ``scores`` (N,), ``groups`` (N,) int64: only boxes of one
    group (a level, a class) suppress each other, where their IoU is above ``iou_thresh``.
    """
    # One image at a time, in float32, as torchvision and Detectron2 do it: groups are held apart by
    # an offset that costs digits, and what survives should be what survives there.
    return batched_nms(boxes.float(), scores.float(), groups, iou_thresh)
