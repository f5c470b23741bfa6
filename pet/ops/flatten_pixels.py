"""A map as the rows of a matrix, one for each pixel."""

from typing import Any

import torch
from torch import Tensor


def flatten_pixels(feature: Tensor) -> Tensor:
    """Return the pixels (N * H * W, C) of a map (N, C, H, W), not copied if it is channels_last."""
    rows: Tensor = _Rows.apply(feature)
    return rows


class _Rows(torch.autograd.Function):
    """The rows of a map.

    As a permuted view of it they would do, but for the gradient: autograd adds the next one to it
    in place only where it is no view, and else into a map of its own.
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
