"""Non-maximum suppression within groups of boxes."""

from torch import Tensor
from torchvision.ops import batched_nms


def nms_by_group(boxes: Tensor, scores: Tensor, groups: Tensor, iou_thresh: float) -> Tensor:
    """Return the indices (n,) int64 of the boxes that are kept, best score first.

    ``boxes`` (N, 4) xyxy of one image, ``scores`` (N,), ``groups`` (N,) int64. A box suppresses
    only boxes of its own group (level or class), if their IoU is above ``iou_thresh``.
    """
    # One image at a time, in float32, as in torchvision and Detectron2: groups are separated by an
    # offset that costs precision, and the same boxes should be kept as there.
    return batched_nms(boxes.float(), scores.float(), groups, iou_thresh)
