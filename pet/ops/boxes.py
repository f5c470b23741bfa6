"""Box arithmetic. Boxes are (..., 4) xyxy, continuous pixels: width = x2 - x1.

N and M boxes; every function is right for none.
"""

import math

import torch
from torch import Tensor

#: Largest log-scale change of width or height that a delta may ask for (Detectron).
MAX_LOG_SCALE = math.log(1000.0 / 16)


def box_area(boxes: Tensor) -> Tensor:
    """Return the areas (...,) of ``boxes`` (..., 4) in square pixels."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Return the (N, M) intersection over union of two sets of boxes, 0 where both are empty."""
    top_left = torch.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    bottom_right = torch.minimum(boxes_a[:, None, 2:], boxes_b[None, :, 2:])
    sides = (bottom_right - top_left).clamp(min=0)
    intersection = sides[..., 0] * sides[..., 1]
    union = box_area(boxes_a)[:, None] + box_area(boxes_b)[None, :] - intersection
    return torch.where(union > 0, intersection / union, torch.zeros_like(union))


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``boxes`` (..., 4) with every corner inside an image of ``size`` (height, width)."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    height, width = size
    return torch.stack(
        (x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)), dim=-1
    )


def scale_boxes(boxes: Tensor, ratio_x: float, ratio_y: float) -> Tensor:
    """Return ``boxes`` (..., 4) of an image stretched by the two ratios."""
    return boxes * boxes.new_tensor((ratio_x, ratio_y, ratio_x, ratio_y))


def flip_boxes(boxes: Tensor, width: int) -> Tensor:
    """Return ``boxes`` (..., 4) of the mirrored image; ``width`` of the image in pixels."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack((width - x2, y1, width - x1, y2), dim=-1)


def valid_boxes(boxes: Tensor, min_size: float = 0.0) -> Tensor:
    """Return (...,) bool: finite, not empty, and both sides at least ``min_size`` pixels."""
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    smallest = torch.minimum(width, height)
    return torch.isfinite(boxes).all(dim=-1) & (smallest > 0) & (smallest >= min_size)


def encode_boxes(
    boxes: Tensor, anchors: Tensor, weights: tuple[float, float, float, float]
) -> Tensor:
    """Return the deltas (..., 4) that ``decode_boxes`` turns from ``anchors`` into ``boxes``.

    Deltas are (dx, dy, dw, dh) times ``weights``: R-CNN (Girshick et al. 2014, appendix C).
    """
    anchor_size, size = anchors[..., 2:] - anchors[..., :2], boxes[..., 2:] - boxes[..., :2]
    anchor_centre = anchors[..., :2] + 0.5 * anchor_size
    shift = (boxes[..., :2] + 0.5 * size - anchor_centre) / anchor_size
    deltas = torch.cat((shift, torch.log(size / anchor_size)), dim=-1)
    return deltas * deltas.new_tensor(weights)


def decode_boxes(
    deltas: Tensor, anchors: Tensor, weights: tuple[float, float, float, float]
) -> Tensor:
    """Return the boxes (..., 4) that ``deltas`` (..., 4) make of ``anchors``, broadcast together.

    dw and dh are held to ``MAX_LOG_SCALE`` so that an untrained head cannot overflow.
    """
    deltas = deltas / deltas.new_tensor(weights)
    anchor_size = anchors[..., 2:] - anchors[..., :2]
    anchor_centre = anchors[..., :2] + 0.5 * anchor_size
    centre = deltas[..., :2] * anchor_size + anchor_centre
    half = 0.5 * anchor_size * deltas[..., 2:].clamp(max=MAX_LOG_SCALE).exp()
    return torch.cat((centre - half, centre + half), dim=-1)
