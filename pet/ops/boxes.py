"""Box arithmetic. Boxes are (..., 4) xyxy, continuous pixels: width = x2 - x1.

N and M boxes; every function also works for zero boxes.
"""

import math

import torch
from torch import Tensor

#: Upper limit of the deltas dw and dh (Detectron).
MAX_LOG_SCALE = math.log(1000.0 / 16)


def box_area(boxes: Tensor) -> Tensor:
    """Return the areas (...,) of ``boxes`` (..., 4) in square pixels."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Return the (N, M) intersection over union of two sets of boxes, 0 if both boxes are empty."""
    # Each coordinate separately: on a CPU three times as fast as pairs of coordinates.
    left_a, top_a, right_a, bottom_a = boxes_a[:, None].unbind(-1)
    left_b, top_b, right_b, bottom_b = boxes_b.T.contiguous()
    width = (torch.minimum(right_a, right_b) - torch.maximum(left_a, left_b)).clamp(min=0)
    height = (torch.minimum(bottom_a, bottom_b) - torch.maximum(top_a, top_b)).clamp(min=0)
    intersection = width * height
    union = box_area(boxes_a)[:, None] + box_area(boxes_b) - intersection
    return torch.where(union > 0, intersection / union, torch.zeros_like(union))


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``boxes`` (..., 4) clipped to an image of ``size`` (height, width)."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    height, width = size
    return torch.stack(
        (x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)), dim=-1
    )


def scale_boxes(boxes: Tensor, ratio_x: float, ratio_y: float) -> Tensor:
    """Return ``boxes`` (..., 4) after the image is resized by the two ratios."""
    return boxes * boxes.new_tensor((ratio_x, ratio_y, ratio_x, ratio_y))


def flip_boxes(boxes: Tensor, width: int) -> Tensor:
    """Return ``boxes`` (..., 4) after the image, ``width`` pixels wide, is mirrored."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack((width - x2, y1, width - x1, y2), dim=-1)


def flip_boxes_vertically(boxes: Tensor, height: int) -> Tensor:
    """Return ``boxes`` (..., 4) after the image, ``height`` pixels high, is turned upside down.

    Above and below change places, left and right do not.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack((x1, height - y2, x2, height - y1), dim=-1)


def turn_boxes(boxes: Tensor, width: int) -> Tensor:
    """Return ``boxes`` (..., 4) after the image is turned by 90 degrees, counter-clockwise.

    ``width`` is that of the image before the turn, in pixels.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack((y1, width - x2, y2, width - x1), dim=-1)


def shift_boxes(boxes: Tensor, x: float, y: float) -> Tensor:
    """Return ``boxes`` (..., 4) moved by ``x`` pixels to the right and ``y`` pixels down."""
    return boxes + boxes.new_tensor((x, y, x, y))


def smallest_side(boxes: Tensor) -> Tensor:
    """Return the shorter side (...,) of ``boxes`` (..., 4) in pixels; NaN if a box has a NaN."""
    return torch.minimum(boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1])


def valid_boxes(boxes: Tensor, min_size: float = 0.0) -> Tensor:
    """Return (...,) bool: whether a box is finite and not empty, and has sides >= ``min_size``."""
    smallest = smallest_side(boxes)
    return torch.isfinite(boxes).all(dim=-1) & (smallest > 0) & (smallest >= min_size)


def encode_boxes(
    boxes: Tensor, anchors: Tensor, weights: tuple[float, float, float, float]
) -> Tensor:
    """Return the deltas (..., 4) from ``anchors`` to ``boxes``, the inverse of ``decode_boxes``.

    Deltas are (dx, dy, dw, dh) times ``weights``: R-CNN (Girshick et al. 2014, appendix C).
    """
    anchor_x, anchor_y, anchor_width, anchor_height = _centre_and_size(anchors)
    x, y, width, height = _centre_and_size(boxes)
    dx, dy = (x - anchor_x) / anchor_width, (y - anchor_y) / anchor_height
    dw, dh = torch.log(width / anchor_width), torch.log(height / anchor_height)
    # The weights stay numbers: making a tensor of them would synchronise with the device.
    weighted = [delta * weight for delta, weight in zip((dx, dy, dw, dh), weights, strict=True)]
    return torch.stack(weighted, dim=-1)


def decode_boxes(
    deltas: Tensor, anchors: Tensor, weights: tuple[float, float, float, float]
) -> Tensor:
    """Return the boxes (..., 4): ``deltas`` (..., 4) applied to ``anchors``, with broadcasting.

    dw and dh are clamped to ``MAX_LOG_SCALE``, so that an untrained head cannot overflow.
    """
    dx, dy, dw, dh = (delta / w for delta, w in zip(deltas.unbind(-1), weights, strict=True))
    anchor_x, anchor_y, anchor_width, anchor_height = _centre_and_size(anchors)
    x, y = dx * anchor_width + anchor_x, dy * anchor_height + anchor_y
    half_width = 0.5 * anchor_width * dw.clamp(max=MAX_LOG_SCALE).exp()
    half_height = 0.5 * anchor_height * dh.clamp(max=MAX_LOG_SCALE).exp()
    return torch.stack((x - half_width, y - half_height, x + half_width, y + half_height), dim=-1)


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return centre x, centre y, width and height, each (...,), of ``boxes`` (..., 4)."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    width, height = x2 - x1, y2 - y1
    return x1 + 0.5 * width, y1 + 0.5 * height, width, height
