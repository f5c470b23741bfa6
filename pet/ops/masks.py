"""Mask arithmetic on tensors: training targets from packed crops, predictions into pixels.

R RoIs, N masks, M the side of the mask grid.
"""

import torch
from torch import Tensor


def sample_crops(
    bits: Tensor,
    starts: Tensor,
    origins: Tensor,
    sizes: Tensor,
    boxes: Tensor,
    index: Tensor,
    resolution: tuple[int, int],
) -> Tensor:
    """Sample packed mask crops bilinearly at the cell centres of a grid laid over each box.

    ``bits`` (total,) uint8, ``starts`` (N,), ``origins`` (N, 2) and ``sizes`` (N, 2) are the fields
    of a ``MaskCrops``; ``boxes`` (R, 4) xyxy are in the pixels of the same image and ``index``
    (R,) int64 says which mask each one sees. Returns (R, height, width) float32 in [0, 1]; what
    lies outside a crop counts as 0.
    """
    height, width = resolution
    low_x, frac_x = _cell_centres(boxes[:, 0], boxes[:, 2], width, origins[index, 0])
    low_y, frac_y = _cell_centres(boxes[:, 1], boxes[:, 3], height, origins[index, 1])
    crop_width, crop_height = sizes[index, 0, None], sizes[index, 1, None]
    sampled = boxes.new_zeros((len(boxes), height, width))
    if not len(bits):
        return sampled
    for step_y, weight_y in ((0, 1 - frac_y), (1, frac_y)):
        row = low_y + step_y
        weight_y = weight_y * ((row >= 0) & (row < crop_height))
        for step_x, weight_x in ((0, 1 - frac_x), (1, frac_x)):
            column = low_x + step_x
            weight_x = weight_x * ((column >= 0) & (column < crop_width))
            place = starts[index, None, None] + (row * crop_width)[:, :, None] + column[:, None, :]
            value = bits[place.clamp(0, len(bits) - 1)]
            sampled += value * weight_y[:, :, None] * weight_x[:, None, :]
    return sampled


def _cell_centres(low: Tensor, high: Tensor, cells: int, origin: Tensor) -> tuple[Tensor, Tensor]:
    """Return (R, cells) int64 and float: the crop pixel before each cell centre, the rest to it."""
    centre = (torch.arange(cells, device=low.device, dtype=low.dtype) + 0.5) / cells
    place = low[:, None] + centre * (high - low)[:, None] - origin[:, None] - 0.5
    before = place.floor()
    return before.long(), place - before


def paste_mask(prob: Tensor, box: Tensor, size: tuple[int, int]) -> tuple[Tensor, int, int]:
    """Resize a mask to the pixels inside its box and threshold it at 0.5.

    ``prob`` (M, M) in [0, 1]; ``box`` (4,) xyxy in pixels of an image of ``size`` (height, width).
    The value of a pixel is interpolated at its centre, with zeros outside the grid, as detectron2
    does it. Returns (height, width) bool of the box's pixels and the column and row of the first;
    no pixel outside them is foreground.
    """
    x1, y1, x2, y2 = box.tolist()
    columns, weight_x = _pixel_weights(x1, x2, size[1], prob)
    rows, weight_y = _pixel_weights(y1, y2, size[0], prob)
    return weight_y @ prob @ weight_x.T >= 0.5, columns, rows


def _pixel_weights(low: float, high: float, limit: int, prob: Tensor) -> tuple[int, Tensor]:
    """Return the first pixel whose centre is in [low, high], and (pixels, M) weights of cells."""
    cells = len(prob)
    first = min(max(int(-(-(low - 0.5) // 1)), 0), limit)
    last = max(min(int((high - 0.5) // 1) + 1, limit), first)
    centres = torch.arange(first, last, device=prob.device, dtype=prob.dtype) + 0.5
    place = (centres - low) * (cells / max(high - low, 1e-6)) - 0.5
    cell = torch.arange(cells, device=prob.device, dtype=prob.dtype)
    return first, (1 - (place[:, None] - cell).abs()).clamp(min=0)
