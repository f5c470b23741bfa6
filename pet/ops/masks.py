"""Mask targets by bilinear sampling of mask crops.

R RoIs, N masks.
"""

import torch
from torch import Tensor


def sample_crops(
    *,
    bits: Tensor,
    starts: Tensor,
    origins: Tensor,
    sizes: Tensor,
    boxes: Tensor,
    index: Tensor,
    resolution: tuple[int, int],
) -> Tensor:
    """Sample mask crops bilinearly at the cell centres of a grid over each box.

    ``bits`` (total,) uint8, ``starts`` (N,), ``origins`` (N, 2) and ``sizes`` (N, 2) are the fields
    of a ``MaskCrops``; ``boxes`` (R, 4) xyxy are in pixels of the same image and ``index`` (R,)
    int64 is the mask of each box. Returns (R, height, width) float32 in [0, 1]; pixels outside a
    crop count as 0.
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
            place = starts[index, None, None] + row[:, :, None] + (column * crop_height)[:, None, :]
            value = bits[place.clamp(0, len(bits) - 1)]
            sampled += value * weight_y[:, :, None] * weight_x[:, None, :]
    return sampled


def _cell_centres(low: Tensor, high: Tensor, cells: int, origin: Tensor) -> tuple[Tensor, Tensor]:
    """Return the crop pixel before each cell centre, (R, cells) int64, and the remaining offset."""
    centre = (torch.arange(cells, device=low.device, dtype=low.dtype) + 0.5) / cells
    place = low[:, None] + centre * (high - low)[:, None] - origin[:, None] - 0.5
    before = place.floor()
    return before.long(), place - before
