"""Flattening a feature map to one row per pixel."""

from typing import Any

import torch
from torch import Tensor


def flatten_pixels(feature: Tensor) -> Tensor:
    """Return the pixels (N * H * W, C) of a map (N, C, H, W); a channels_last map is not copied."""
    rows: Tensor = _FlattenPixels.apply(feature)
    return rows


class _FlattenPixels(torch.autograd.Function):
    """Permutes and reshapes, with a gradient that is not a view.

    Autograd adds further gradients in place only if the first one is not a view; with a plain
    permute it would allocate another map.
    """

    @staticmethod
    def forward(ctx: Any, feature: Tensor) -> Tensor:
        ctx.shape = feature.shape
        return feature.permute(0, 2, 3, 1).reshape(-1, feature.shape[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        count, channels, height, width = ctx.shape
        of_map = grad.contiguous().view(count, height, width, channels).permute(0, 3, 1, 2)
        result: Any = grad.new_empty(0)  # Any, as PyTorch does not declare this form of set_
        return result.set_(of_map)
