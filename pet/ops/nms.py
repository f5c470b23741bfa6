"""Non-maximum suppression over several groups of boxes at once."""

from torch import Tensor
from torchvision.ops import batched_nms


def nms_by_group(boxes: Tensor, scores: Tensor, groups: Tensor, iou_thresh: float) -> Tensor:
    """Return the indices (n,) int64 of the boxes that survive, best score first.

    ``boxes`` (N, 4) xyxy, ``scores`` (N,), ``groups`` (N,) int64: only boxes of one group (an
    image, a level, a class) suppress each other, where their IoU is above ``iou_thresh``.
    """
    # Groups are held apart by an offset, which would cost float32 boxes digits: what survives in
    # one image would depend, now and then, on the other images of its batch.
    return batched_nms(boxes.double(), scores.double(), groups, iou_thresh)
