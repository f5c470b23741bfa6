"""Keypoint arithmetic. Keypoints are (..., P, 3): x, y in continuous pixels, and a third value.

The third is the visibility of an annotated point (0 not labelled, 1 hidden, 2 visible) or the
confidence of a predicted one. R RoIs, P points, H and W height and width of a heatmap in cells;
every function also works for R = 0.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

#: The bin of a point that is not labelled or lies outside its box.
NO_BIN = -1


def scale_keypoints(keypoints: Tensor, ratio_x: float, ratio_y: float) -> Tensor:
    """Return ``keypoints`` (..., P, 3) after the image is resized by the two ratios."""
    return keypoints * keypoints.new_tensor((ratio_x, ratio_y, 1.0))


def flip_keypoints(keypoints: Tensor, width: int, order: Sequence[int]) -> Tensor:
    """Return ``keypoints`` (..., P, 3) after the image, ``width`` pixels wide, is mirrored.

    Point ``order[p]`` becomes point p, as a left hand becomes a right hand. Points whose third
    value is 0 have no position and are not mirrored.
    """
    x, y, third = keypoints[..., list(order), :].unbind(-1)
    return torch.stack((torch.where(third > 0, width - x, x), y, third), dim=-1)


def flip_keypoints_vertically(keypoints: Tensor, height: int, order: Sequence[int]) -> Tensor:
    """Return ``keypoints`` (..., P, 3) after the image, ``height`` pixels high, is turned over.

    Above and below change places. This is a mirror image as well, so points do change places as in
    ``flip_keypoints``.
    """
    x, y, third = keypoints[..., list(order), :].unbind(-1)
    return torch.stack((x, torch.where(third > 0, height - y, y), third), dim=-1)


def turn_keypoints(keypoints: Tensor, width: int) -> Tensor:
    """Return ``keypoints`` (..., P, 3) after the image is turned by 90 degrees, counter-clockwise.

    ``width`` is that of the image before the turn, in pixels. Points whose third value is 0 have no
    position and are not moved.
    """
    x, y, third = keypoints.unbind(-1)
    moved = torch.stack((y, width - x, third), dim=-1)
    return torch.where(third[..., None] > 0, moved, keypoints)


def cut_keypoints(keypoints: Tensor, x: float, y: float, size: tuple[int, int]) -> Tensor:
    """Return ``keypoints`` (..., P, 3) in the part of the image from (``x``, ``y``) on.

    ``size`` is (height, width) of the part, in pixels. A point outside of it becomes (0, 0, 0), not
    labelled (as in Detectron2); one on its border is inside.
    """
    height, width = size
    moved = keypoints - keypoints.new_tensor((x, y, 0.0))
    column, row, third = moved.unbind(-1)
    inside = (column >= 0) & (column <= width) & (row >= 0) & (row <= height) & (third > 0)
    return torch.where(inside[..., None], moved, 0.0)


def keypoint_bins(keypoints: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (R, P) int64: the cell, row * W + column, of each point in a grid over its box.

    ``keypoints`` (R, P, 3) with visibilities, ``boxes`` (R, 4), ``size`` (H, W) of the grid. A
    point on the right or lower edge of the box is in the last column or row. A point that is
    outside or not labelled gets ``NO_BIN``. The steps are those of torchvision and Detectron2.
    """
    height, width = size
    x1, y1, x2, y2 = boxes[:, None].unbind(-1)
    x, y, visibility = keypoints.unbind(-1)
    column = ((x - x1) * (width / (x2 - x1))).floor()
    row = ((y - y1) * (height / (y2 - y1))).floor()
    column, row = column.where(x != x2, width - 1), row.where(y != y2, height - 1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (visibility > 0)
    return (row * width + column).where(inside, NO_BIN).long()


def decode_heatmaps(logits: Tensor, boxes: Tensor, score_method: str) -> Tensor:
    """Return the most likely position of each point, (R, P, 3), in the pixels of ``boxes``.

    ``logits`` (R, P, H, W), ``boxes`` (R, 4). Each heatmap is resized, bicubically, to the size of
    its box in pixels, rounded up; the point is the centre of the cell with the highest logit
    (Mask R-CNN, as in Detectron). The third value depends on ``score_method``: 1 ("one",
    torchvision) or exp(highest) / sum of exp over the H * W cells ("probability", Detectron2).
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    cells = sides.ceil()
    columns, rows, best = (
        torch.stack(values) if values else logits.new_zeros(logits.shape[:2])
        for values in _peaks(logits, cells)
    )
    ratio = sides / cells
    x = (columns + 0.5) * ratio[:, :1] + boxes[:, :1]
    y = (rows + 0.5) * ratio[:, 1:] + boxes[:, 1:2]
    if score_method == "one":
        third = torch.ones_like(best)
    else:
        third = (logits.flatten(2) - best[..., None]).exp().sum(dim=2).reciprocal()
    return torch.stack((x, y, third), dim=2)


def _peaks(logits: Tensor, cells: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return column, row and value of the highest cell of each resized map: R tensors (P,) each.

    ``cells`` (R, 2): the width and height to which the maps of an RoI are resized.
    """
    columns, rows, values = [], [], []
    for maps, (width, height) in zip(logits, cells.long().tolist(), strict=True):
        stretched = F.interpolate(
            maps[:, None], size=(height, width), mode="bicubic", align_corners=False
        )
        value, place = stretched.flatten(1).max(dim=1)
        columns.append((place % width).to(logits.dtype))
        rows.append(place.div(width, rounding_mode="floor").to(logits.dtype))
        values.append(value)
    return columns, rows, values
