"""What the maps of a pyramid hold around some pixels: all that convolutions read for those."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pet.ops.flatten_pixels import flatten_pixels


def extract_patches(
    maps: Sequence[Tensor], image: Tensor, pixel: Tensor, radius: int
) -> tuple[Tensor, Tensor]:
    """Return the squares of ``maps`` around S pixels, and which of their pixels a map has.

    ``maps`` (N, C, H_l, W_l); ``image`` (S,) int64, and ``pixel`` (S,) int64 within the image,
    level after level and row by row. Returns (S, C, D, D), channels_last and 0 beyond the map, with
    D = 2 * ``radius`` + 1; and bool (S, 1, D, D).
    """
    number = torch.arange(len(pixel), device=pixel.device)
    step = torch.arange(-radius, radius + 1, device=pixel.device)
    squares: Tensor | None = None
    on_any = torch.zeros((), dtype=torch.bool, device=pixel.device)
    first = 0
    # Each level is asked for all pixels: which are its own only the device knows.
    for level in maps:
        height, width = level.shape[-2:]
        place = pixel - first
        of_level = (place >= 0) & (place < height * width)
        # Those of others read anywhere, and not all in one place, where gradients are added up.
        place = torch.where(of_level, place, number % (height * width))
        y = (place // width)[:, None, None] + step[:, None]
        x = (place % width)[:, None, None] + step
        on_map = (y >= 0) & (y < height) & (x >= 0) & (x < width) & of_level[:, None, None]
        row = image[:, None, None] * height + y.clamp(0, height - 1)
        index = row * width + x.clamp(0, width - 1)
        found = flatten_pixels(level).index_select(0, index.flatten()).unflatten(0, index.shape)
        found = found.masked_fill(~on_map[..., None], 0)
        squares = found if squares is None else squares + found
        on_any = on_any | on_map
        first += height * width
    assert squares is not None, "a pyramid has maps"
    return squares.permute(0, 3, 1, 2), on_any[:, None]
