"""How well the anchors of a model fit the boxes of a data set.

B boxes. The best anchor of a box is found without a grid of all anchors: of one shape and level it
is the one whose centre is nearest in each direction, as the overlap shrinks with either distance.
"""

from dataclasses import dataclass

import numpy as np

from pet.engine.data_check.checked_set import Boxes, CheckedSet
from pet.engine.data_check.network_size import NetworkSizes
from pet.modeling.anchors import AnchorGenerator
from pet.modeling.contract import AnchorRule


@dataclass(frozen=True)
class AnchorFit:
    """The boxes of a data set at one scale, and their best anchors."""

    scale: int  # 0: the size of the files
    best: np.ndarray  # (B,) float64: the IoU with the best anchor, where it lies
    best_shape: np.ndarray  # (B,) float64: that with the best anchor if it had the same centre
    smaller: np.ndarray  # (B,) bool: whether the area is below that of the smallest anchor
    larger: np.ndarray  # (B,) bool: whether it is above that of the largest
    fg_iou: float  # the IoU from which on an anchor is foreground


def fit_anchors(
    checked: CheckedSet, boxes: Boxes, sizes: NetworkSizes, rule: AnchorRule, divisibility: int
) -> list[AnchorFit]:
    """Return the fit of ``boxes`` of the data set at each scale of ``sizes``.

    ``divisibility``: images are padded to multiples of it, as by ``INPUT.SIZE_DIVISIBILITY``.
    """
    fits = []
    cells = rule.anchors.cells.numpy().reshape(-1, 4).astype(np.float64)
    areas = (cells[:, 2] - cells[:, 0]) * (cells[:, 3] - cells[:, 1])
    for scale in sizes.scales:
        new = sizes.resized(checked.sizes, scale)
        corners = boxes.resized(checked.sizes, new)
        padded = -(-new // divisibility) * divisibility
        own = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
        fits.append(
            AnchorFit(
                scale,
                best_iou(corners, padded[boxes.images], rule.anchors),
                best_shape_iou(corners, cells),
                own < areas.min() - 1e-3,
                own > areas.max() + 1e-3,
                rule.fg_iou,
            )
        )
    return fits


def best_shape_iou(boxes: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return (B,): the IoU of ``boxes`` (B, 4) with the best of ``cells`` (A, 4) centred on it."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    best = np.zeros(len(boxes))
    for x1, y1, x2, y2 in cells.tolist():
        shared = np.minimum(width, x2 - x1) * np.minimum(height, y2 - y1)
        best = np.maximum(best, shared / (width * height + (x2 - x1) * (y2 - y1) - shared))
    return best


def best_iou(boxes: np.ndarray, padded: np.ndarray, anchors: AnchorGenerator) -> np.ndarray:
    """Return (B,): the IoU of ``boxes`` (B, 4) with the best of all anchors of their image.

    ``padded`` (B, 2) are height and width of each box's padded image.
    """
    best = np.zeros(len(boxes))
    finest = -(-padded // anchors.strides[0])
    for cells, stride in zip(anchors.cells.numpy(), anchors.strides, strict=True):
        count = -(-padded // stride)  # (B, 2) rows and columns of the map
        step = np.full_like(padded, stride)
        if anchors.step_from_size:
            step = finest * anchors.strides[0] // count
        for cell in cells.astype(np.float64):
            best = np.maximum(best, _iou_at_nearest(boxes, cell, step, count))
    return best


def _iou_at_nearest(
    boxes: np.ndarray, cell: np.ndarray, step: np.ndarray, count: np.ndarray
) -> np.ndarray:
    """Return (B,): the IoU of each box with the anchor ``cell`` (4,) at the best place of a grid.

    ``step`` and ``count`` (B, 2) are the distance and the number of rows and columns.
    """
    shared = np.ones(len(boxes))
    for axis in (0, 1):  # x, y
        low, high = boxes[:, axis], boxes[:, axis + 2]
        away = (low + high - cell[axis] - cell[axis + 2]) / 2
        steps, last = step[:, 1 - axis], count[:, 1 - axis] - 1
        place = np.clip(np.round(away / steps), 0, last) * steps
        common = np.minimum(high, cell[axis + 2] + place) - np.maximum(low, cell[axis] + place)
        shared *= np.clip(common, 0, None)
    own = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return shared / (own + (cell[2] - cell[0]) * (cell[3] - cell[1]) - shared)
