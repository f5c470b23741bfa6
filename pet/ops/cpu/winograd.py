"""3x3 convolutions with half the multiplications, for CPUs (Winograd 1980, Lavin and Gray 2016).

F(4, 3) along the height: four rows of the result from six rows of the map. The product of a
polynomial with four coefficients and one with three is determined by six products, at five points
and at infinity; the direct sum takes twelve. A convolution is the transpose of that: the weights of
a column are evaluated at the points, the six rows go through the transposed interpolation, and the
products are summed, times powers of the points. Along the width it remains a 1x3 convolution.

The result is the same function, summed in another order. Its rounding errors are about 1.5 times
those of the plain convolution of a channels_last map, and up to five times for a map of zeros with
few other values, where both errors are small.

N images, C input channels, K output channels, H and W height and width.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

_POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)

# Values over all points that a thread processes at a time; they fit into a CPU's cache.
_BLOCK = 2**20


def winograd_conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``F.conv2d(x, weight, bias, padding=1)``, channels_last.

    ``x`` (N, C, H, W), ``weight`` (K, C, 3, 3), ``bias`` (K,); returns (N, K, H, W) with first
    derivatives only. H and W are at least 1.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    result: Tensor = _Conv3x3.apply(x, weight, bias)
    return result


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _by_strips(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Any) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        with torch.autocast("cpu", enabled=False):
            return (
                _by_strips(grad, weight.flip(2, 3).transpose(0, 1)) if of_x else None,
                _weight_gradient(x, grad) if of_weight else None,
                grad.sum((0, 2, 3)) if of_bias else None,
            )


def _by_strips(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute ``winograd_conv3x3`` block by block, without gradients."""
    images, _, height, width = x.shape
    channels = weight.shape[0]
    at_points = torch.einsum("ph,kchw->pkcw", _weights_at_points(weight), weight)
    at_points = at_points.flatten(0, 1)[:, :, None].contiguous(memory_format=torch.channels_last)
    if bias is not None:
        # The product at point 1 is part of the sum of every row, so the bias is added to it.
        bias = F.pad(bias, (channels, 4 * channels))
    result = torch.empty(
        (images, channels, height, width),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )
    rows_of_result = result.permute(0, 2, 3, 1)
    for some, rows, values in _blocks(x):
        products = F.conv2d(values, at_points, bias, padding=(0, 1), groups=6)
        target = rows_of_result[some, rows]
        strips = -(-target.shape[1] // 4)
        of_strips = (len(target), strips, 4, width, channels)
        whole = 4 * strips == target.shape[1]
        sums = target.view(of_strips) if whole else target.new_empty(of_strips)
        _add_up(_as_strips(products, strips), sums)
        if not whole:
            target.copy_(sums.flatten(1, 2)[:, : target.shape[1]])
    return result


def _weight_gradient(x: Tensor, grad: Tensor) -> Tensor:
    """Return the weight's gradient (K, C, 3, 3), from the output's, ``grad`` (N, K, H, W)."""
    channels = grad.shape[1]
    size = (6 * channels, x.shape[1], 1, 3)
    total = x.new_zeros(size)
    rows_of_grad = grad.permute(0, 2, 3, 1)
    for some, rows, values in _blocks(x):
        part = rows_of_grad[some, rows]
        part = F.pad(part, (0, 0, 0, 0, 0, -part.shape[1] % 4)).unflatten(1, (-1, 4))
        products = _spread(part)
        total += conv2d_weight(values, size, products, padding=(0, 1), groups=6)
    of_points = total.view(6, channels, x.shape[1], 3)
    return torch.einsum("ph,pkcw->kchw", _weights_at_points(x), of_points)


def _weights_at_points(like: Tensor) -> Tensor:
    """Return the matrix (6, 3) that evaluates the three weights of a column at each point."""
    rows = [
        [point**power / math.prod(point - other for other in _POINTS if other != point)
         for power in range(3)]
        for point in _POINTS
    ]  # fmt: skip
    return like.new_tensor([*rows, [0.0, 0.0, 1.0]])


def _blocks(x: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield blocks of ``x``: a slice of images, a slice of output rows, and their values.

    The values at the points for n images and 4 * s rows are (n * s, 6 * C, 1, W), channels_last.
    Rows outside the map count as zeros.
    """
    rows = x.permute(0, 2, 3, 1)
    images, height, width, channels = rows.shape
    strips = -(-height // 4)
    at_once = max(_BLOCK * torch.get_num_threads() // (6 * width * channels), 1)
    per_block, images_per_block = min(at_once, strips), max(at_once // strips, 1)
    for first in range(0, images, images_per_block):
        some = slice(first, first + images_per_block)
        for top in range(0, height, 4 * per_block):
            bottom = min(top + 4 * per_block, 4 * strips)
            block = rows[some, max(top - 1, 0) : bottom + 1]
            beyond = (int(top == 0), bottom + 1 - min(bottom + 1, height))
            if any(beyond):
                block = F.pad(block, (0, 0, 0, 0, *beyond))
            yield some, slice(top, bottom), _at_points(block)


def _at_points(block: Tensor) -> Tensor:
    """Return the values (n * s, 6 * C, 1, W) at the points, from rows (n, 4 * s + 2, W, C).

    The value at a point is a sum of six rows, weighted with the coefficients of the product of
    (x - other) over the other points; at infinity, of the product over all points.
    """
    images, rows, width, channels = block.shape
    strips = rows // 4

    def of_strips(sums: Tensor, power: int) -> Tensor:
        return sums[:, power : power + 4 * strips - 3 : 4]

    square = block[:, 2:] - block[:, :-2]  # (x - 1) (x + 1)
    other = torch.add(square, block[:, 1:-1], alpha=1.5)  # (x - 0.5) (x + 2)
    square_1, square_2 = (of_strips(square, power) for power in (1, 2))
    other_0, other_1, other_2, other_3 = (of_strips(other, power) for power in range(4))
    values = block.new_empty((images, strips, width, 6, channels))
    at_0, at_1, at_minus_1, at_half, at_minus_2, at_infinity = values.unbind(3)
    torch.sub(other_2, other_0, out=at_0)
    torch.add(other_2, other_1, out=at_1)
    torch.sub(other_2, other_1, out=at_minus_1)
    torch.add(square_2, square_1, alpha=2, out=at_half)
    torch.sub(square_2, square_1, alpha=0.5, out=at_minus_2)
    torch.sub(other_3, other_1, out=at_infinity)
    return _as_maps(values)


def _add_up(products: Tensor, rows: Tensor) -> None:
    """Sum the products (n, s, W, 6, K) times powers of the points into ``rows`` (n, s, 4, W, K).

    This overwrites the products.
    """
    at_0, at_1, at_minus_1, at_half, at_minus_2, at_infinity = products.unbind(3)
    row_0, row_1, row_2, row_3 = rows.unbind(2)
    torch.add(at_1, at_minus_1, out=row_2)
    odd = at_1.sub_(at_minus_1)
    torch.add(at_0, row_2, out=row_0).add_(at_half).add_(at_minus_2)
    torch.add(odd, at_half, alpha=1 / 2, out=row_1).sub_(at_minus_2, alpha=2)
    row_2.add_(at_half, alpha=1 / 4).add_(at_minus_2, alpha=4)
    torch.add(odd, at_half, alpha=1 / 8, out=row_3).sub_(at_minus_2, alpha=8).add_(at_infinity)


def _spread(rows: Tensor) -> Tensor:
    """Return the products' gradients (n * s, 6 * K, 1, W) from those of rows (n, s, 4, W, K)."""
    images, strips, _, width, channels = rows.shape
    row_0, row_1, row_2, row_3 = rows.unbind(2)
    products = rows.new_empty((images, strips, width, 6, channels))
    at_0, at_1, at_minus_1, at_half, at_minus_2, at_infinity = products.unbind(3)
    at_0.copy_(row_0)
    at_infinity.copy_(row_3)
    even, odd = row_0 + row_2, row_1 + row_3
    torch.add(even, odd, out=at_1)
    torch.sub(even, odd, out=at_minus_1)
    torch.add(row_0, row_1, alpha=1 / 2, out=at_half).add_(row_2, alpha=1 / 4)
    at_half.add_(row_3, alpha=1 / 8)
    torch.sub(row_0, row_1, alpha=2, out=at_minus_2).add_(row_2, alpha=4).sub_(row_3, alpha=8)
    return _as_maps(products)


def _as_maps(values: Tensor) -> Tensor:
    """Return (n, s, W, 6, K) as n * s maps of one row, (n * s, 6 * K, 1, W)."""
    return values.flatten(3).flatten(0, 1)[:, None].permute(0, 3, 1, 2)


def _as_strips(maps: Tensor, strips: int) -> Tensor:
    """Return (n * s, 6 * K, 1, W) as (n, s, W, 6, K)."""
    return maps.permute(0, 2, 3, 1).squeeze(1).unflatten(0, (-1, strips)).unflatten(3, (6, -1))
