"""Pasting predicted masks into an image, by the two methods used for published results.

M is the side of the mask grid. Only the pixels of the box are computed, never a full image.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F


def paste_pixel_centre(prob: Tensor, box: Tensor, size: tuple[int, int]) -> tuple[Tensor, int, int]:
    """Interpolate a mask at the pixel centres inside its box; foreground is >= 0.5.

    ``prob`` (M, M) in [0, 1]; ``box`` (4,) xyxy in pixels of an image of ``size`` (height, width).
    The mask is 0 outside the grid, as in detectron2. Returns the pixels of the box as (height,
    width) bool, and the column and row of the first. All pixels outside are background; an empty
    box has no pixels.
    """
    x1, y1, x2, y2 = box.tolist()
    columns, weight_x = _pixel_weights(x1, x2, cells=prob.shape[1], limit=size[1], like=prob)
    rows, weight_y = _pixel_weights(y1, y2, cells=prob.shape[0], limit=size[0], like=prob)
    return weight_y @ prob @ weight_x.T >= 0.5, columns, rows


def _pixel_weights(
    low: float, high: float, *, cells: int, limit: int, like: Tensor
) -> tuple[int, Tensor]:
    """Return the first pixel with its centre in [low, high], and the cell weights (pixels, M)."""
    first = min(max(int(-(-(low - 0.5) // 1)), 0), limit)
    last = max(min(int((high - 0.5) // 1) + 1, limit), first)
    if high <= low:
        return first, like.new_zeros((0, cells))
    centres = torch.arange(first, last, device=like.device, dtype=like.dtype) + 0.5
    place = (centres - low) * (cells / (high - low)) - 0.5
    cell = torch.arange(cells, device=like.device, dtype=like.dtype)
    return first, (1 - (place[:, None] - cell).abs()).clamp(min=0)


def paste_integer_box(prob: Tensor, box: Tensor, size: tuple[int, int]) -> tuple[Tensor, int, int]:
    """Resize a mask to the integer pixels of its box; foreground is > 0.5.

    Arguments and results are those of ``paste_pixel_centre``. The rules are those of Detectron and
    torchvision (``paste_masks_in_image``): the mask is padded with one cell of zeros, and the box
    is enlarged accordingly; its corners are truncated towards zero to whole pixels, both inclusive.
    So even an empty box covers a pixel.
    """
    height, width = prob.shape
    # In the precision of the box, so that corners are truncated to the same pixels as there.
    growth = box.new_tensor(((width + 2) / width, (height + 2) / height))
    half, centre = (box[2:] - box[:2]) * 0.5 * growth, (box[2:] + box[:2]) * 0.5
    x1, y1 = (centre - half).long().tolist()
    x2, y2 = (centre + half).long().tolist()
    rimmed = F.pad(prob, (1, 1, 1, 1))[None, None]
    pixels = (max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1))
    stretched = F.interpolate(rimmed, size=pixels, mode="bilinear", align_corners=False)[0, 0]
    rows, columns = _inside(y1, pixels[0], size[0]), _inside(x1, pixels[1], size[1])
    visible = stretched[rows.start - y1 : rows.stop - y1, columns.start - x1 : columns.stop - x1]
    return visible > 0.5, columns.start, rows.start


def _inside(first: int, count: int, limit: int) -> range:
    """Return ``count`` pixels from ``first`` on, clipped to 0..``limit`` - 1."""
    start = min(max(first, 0), limit)
    return range(start, max(min(first + count, limit), start))


#: MRCNN.PASTE_METHOD -> the function.
PASTE_METHODS: Mapping[str, Callable[[Tensor, Tensor, tuple[int, int]], tuple[Tensor, int, int]]]
PASTE_METHODS = {"pixel_centre": paste_pixel_centre, "integer_box": paste_integer_box}
