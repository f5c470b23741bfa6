"""Training masks as averages over each cell, by the rules of unaligned RoIAlign.

R RoIs, N masks.
"""

import torch
from torch import Tensor


def align_crops(
    bits: Tensor,
    starts: Tensor,
    origins: Tensor,
    sizes: Tensor,
    boxes: Tensor,
    index: Tensor,
    resolution: tuple[int, int],
    image_size: tuple[int, int],
) -> Tensor:
    """Average packed mask crops over the cells of a grid laid over each box.

    Equal to torchvision's ``roi_align(masks, boxes, resolution)`` on the N masks as images of
    ``image_size`` (height, width), which are never drawn: a mask is one product with the weights
    of its rows and one with those of its columns. ``bits`` (total,) uint8, ``starts`` (N,),
    ``origins`` (N, 2) and ``sizes`` (N, 2) are the fields of a ``MaskCrops``; ``boxes`` (R, 4) xyxy
    are in pixels of the image and ``index`` (R,) int64 says which mask each one sees. Returns
    (R, height, width) in [0, 1].
    """
    height, width = resolution
    aligned = boxes.new_zeros((len(boxes), height, width))
    cells = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1) / boxes.new_tensor([width, height])
    columns, rows = _cells_of(boxes[:, 0], cells[:, 0]), _cells_of(boxes[:, 1], cells[:, 1])
    crops = [tensor[index].tolist() for tensor in (starts, origins, sizes)]
    for slot, column, row, start, (x, y), (across, down) in zip(
        aligned, columns, rows, *crops, strict=True
    ):
        if not across or not down:
            continue
        crop = bits[start : start + down * across].reshape(down, across).to(boxes.dtype)
        weight_y = _weights(row, height, (y, down), image_size[0], crop)
        weight_x = _weights(column, width, (x, across), image_size[1], crop)
        slot.copy_(weight_y @ crop @ weight_x.T)
    return aligned


def _cells_of(low: Tensor, side: Tensor) -> list[tuple[float, float, int]]:
    """Return where the first cell begins, how long a cell is, and its points, for each of R boxes.

    A cell is sampled at as many points as it has pixels, rounded up, in the digits of the boxes.
    """
    points = side.ceil().long()
    return list(zip(low.tolist(), side.tolist(), points.tolist(), strict=True))


def _weights(
    grid: tuple[float, float, int], cells: int, pixels: tuple[int, int], limit: int, like: Tensor
) -> Tensor:
    """Return the (cells, count) weights of ``pixels``, the first and their count, in each cell.

    Points outside the image, whose last pixel is ``limit`` - 1, are held to it; those further off
    than a pixel count as 0.
    """
    (low, side, points), (first, count) = grid, pixels
    place = torch.arange(cells * points, device=like.device, dtype=torch.float64) + 0.5
    place = low + place * (side / points)
    pixel = torch.arange(first, first + count, device=like.device, dtype=torch.float64)
    weights = (1 - (place.clamp(0, limit - 1)[:, None] - pixel).abs()).clamp(min=0)
    weights[(place < -1) | (place > limit)] = 0
    return weights.reshape(cells, points, count).mean(dim=1).to(like.dtype)
