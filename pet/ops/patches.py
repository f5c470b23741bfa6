"""Extracting patches of feature maps around single pixels, as inputs of convolutions."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pet.ops.flatten_pixels import flatten_pixels


def extract_patches(
    maps: Sequence[Tensor], image: Tensor, pixel: Tensor, radius: int
) -> tuple[Tensor, Tensor]:
    """Return the patches of ``maps`` around S pixels, and which of their pixels lie on a map.

    ``maps`` (N, C, H_l, W_l), one per level; ``image`` (S,) int64 is the image of each pixel, and
    ``pixel`` (S,) int64 its index within the image, over all levels, row by row. Returns patches
    (S, C, D, D), channels_last and 0 outside the map, with D = 2 * ``radius`` + 1; and (S, 1, D, D)
    bool.
    """
    number = torch.arange(len(pixel), device=pixel.device)
    step = torch.arange(-radius, radius + 1, device=pixel.device)
    squares: Tensor | None = None
    on_any = torch.zeros((), dtype=torch.bool, device=pixel.device)
    first = 0
    # Each level is read for all pixels: selecting its own would synchronise with the device.
    for level in maps:
        height, width = level.shape[-2:]
        place = pixel - first
        of_level = (place >= 0) & (place < height * width)
        # Pixels of other levels read spread positions: one would serialise the gradient's adds.
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
