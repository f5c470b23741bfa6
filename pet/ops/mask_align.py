"""Mask targets by the rules of unaligned RoIAlign: averages over each cell.

R RoIs, N masks.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

# The largest number of crop pixels that are processed at once, at 13 bytes each: on a CPU they fit
# the cache, on a GPU most batches need only a few chunks.
_MAX_PIXELS, _MAX_PIXELS_ON_GPU = 2**20, 2**22


def align_crops(
    *,
    bits: Tensor,
    starts: Tensor,
    origins: Tensor,
    sizes: Tensor,
    boxes: Tensor,
    index: Tensor,
    resolution: tuple[int, int],
    limits: Tensor,
) -> Tensor:
    """Average mask crops over the cells of a grid over each box.

    Equal to torchvision's ``roi_align(masks, boxes, resolution)`` on N full-size masks, which are
    never made: each crop is multiplied by the weights of its rows and by those of its columns.
    ``bits`` (total,) uint8, ``starts`` (N,), ``origins`` (N, 2) and ``sizes`` (N, 2) are the fields
    of a ``MaskCrops``. ``boxes`` (R, 4) xyxy are in pixels of the image, ``index`` (R,) int64 is
    the mask of each box, and ``limits`` (R, 2) int64 are width and height of the image of that
    mask. Returns (R, height, width) in [0, 1].
    """
    height, width = resolution
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    # Not divided by a tensor of the two: making one would synchronise with the device.
    cells = torch.stack([sides[:, 0] / width, sides[:, 1] / height], dim=1)
    # A cell has as many sampling points as pixels, rounded up, computed in the boxes' precision.
    points = cells.ceil().long()
    shape = torch.cat([sizes[index], points], dim=1)
    order = torch.argsort(shape[:, 0] * shape[:, 1])  # masks of similar size share a chunk
    aligned = [boxes.new_zeros((0, height, width))]
    for chosen, (across, down, points_x, points_y) in _chunks(order, shape):
        mask = index[chosen]
        crop = _unpack(bits, starts[mask], sizes[mask], down, across).to(boxes.dtype)
        grids = [
            _weights(
                low=boxes[chosen, axis],
                side=cells[chosen, axis],
                points=points[chosen, axis],
                first=origins[mask, axis],
                count=sizes[mask, axis],
                limit=limits[chosen, axis],
                cells=count,
                most_points=most_points,
                length=length,
            ).to(boxes.dtype)
            for axis, (count, most_points, length) in enumerate(
                ((width, points_x, across), (height, points_y, down))
            )
        ]
        with torch.autocast(boxes.device.type, enabled=False):
            aligned.append(grids[1] @ crop @ grids[0].transpose(1, 2))
    return torch.cat(aligned)[torch.argsort(order)]


def _chunks(order: Tensor, shape: Tensor) -> Iterator[tuple[Tensor, list[int]]]:
    """Yield chunks of ``order`` (R,) that fit into memory, with the maximum of ``shape`` in each.

    ``shape`` (R, D) begins with width and height of a crop; ``order`` sorts by their product.
    """
    most = _MAX_PIXELS if order.device.type == "cpu" else _MAX_PIXELS_ON_GPU
    rows = shape[order].tolist()  # the only synchronisation with the device
    begin = 0
    while begin < len(rows):
        end, largest = begin, rows[begin]
        while end < len(rows):
            wider = [max(pair) for pair in zip(largest, rows[end], strict=True)]
            if end > begin and (end + 1 - begin) * wider[0] * wider[1] > most:
                break
            end, largest = end + 1, wider
        yield order[begin:end], largest
        begin = end


def _unpack(bits: Tensor, starts: Tensor, sizes: Tensor, height: int, width: int) -> Tensor:
    """Return crops (n, height, width); values outside ``sizes`` (n, 2) of a crop are arbitrary."""
    if not len(bits):
        return bits.new_zeros((len(starts), height, width))
    column = torch.arange(width, device=bits.device)[:, None] * sizes[:, 1, None, None]
    place = (starts[:, None, None] + column) + torch.arange(height, device=bits.device)
    # Four times as fast on a CPU as bits[place].
    flat = bits.index_select(0, place.clamp_(max=len(bits) - 1).view(-1))
    return flat.view(place.shape).transpose(1, 2)


def _weights(
    *,
    low: Tensor,
    side: Tensor,
    points: Tensor,
    first: Tensor,
    count: Tensor,
    limit: Tensor,
    cells: int,
    most_points: int,
    length: int,
) -> Tensor:
    """Return the weights (n, cells, length) of a crop's pixels in each cell, along one axis.

    For each of n boxes: ``low`` is the start of its first cell, ``side`` the length of a cell,
    ``points`` its sampling points per cell (at most ``most_points``), ``first`` the crop's first
    pixel and ``count`` its pixels (at most ``length``). Points outside the image, whose last pixel
    is ``limit`` - 1, are clamped to it; points more than one pixel outside have weight 0.
    """
    low, side, points, first, count, limit = (
        of_box[:, None, None] for of_box in (low, side, points, first, count, limit)
    )
    device = low.device
    step = torch.arange(most_points, device=device)
    place = torch.arange(cells, device=device)[:, None] * points + step + 0.5
    place = low.double() + place * (side.double() / points)
    counts = (step < points) & (place >= -1) & (place <= limit)
    place = torch.minimum(place.clamp(min=0), limit - 1.0)
    before = place.floor()
    pixel, share = before.long() - first, place - before
    weights = place.new_zeros((len(place), cells, length + 1))  # the last takes ignored points
    for at, part in ((pixel, 1 - share), (pixel + 1, share)):
        there = counts & (at >= 0) & (at < count)
        weights.scatter_add_(2, torch.where(there, at, length), part)
    return weights[..., :length] / points
