"""Normalisation layers, and the scale and shift of a norm with fixed statistics."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

# Source: section 4.1 of the paper on group norm.
_GROUPS = 32


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose statistics, weight and bias never change.

    Its four buffers have the names of ``nn.BatchNorm2d``, so that the state dict of one loads into
    the other.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (N, C, H, W)."""
        scale, shift = scale_and_shift(self)
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


def scale_and_shift(norm: FrozenBatchNorm2d | _BatchNorm) -> tuple[Tensor, Tensor]:
    """Return the scale (C,) and shift (C,) that a norm with fixed statistics applies."""
    assert norm.running_var is not None and norm.running_mean is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def make_norm(kind: str, channels: int, eps: float = 1e-5) -> nn.Module:
    """Return the norm ``kind``; ``eps`` is added to the variance.

    ``kind`` is "freeze" (batch norm that never changes), "bn", "syncbn" (batch norm over all
    processes) or "gn" (group norm with 32 groups, Wu and He 2018). Raises ValueError for other
    kinds, and for "gn" if ``channels`` is not a multiple of 32.
    """
    if kind == "freeze":
        return FrozenBatchNorm2d(channels, eps)
    if kind == "bn":
        return nn.BatchNorm2d(channels, eps)
    if kind == "syncbn":
        return nn.SyncBatchNorm(channels, eps)
    if kind != "gn":
        raise ValueError(f"no norm named {kind!r}; choose from freeze, bn, syncbn, gn")
    if channels % _GROUPS:
        raise ValueError(
            f'group norm ("gn") has {_GROUPS} groups, which {channels} channels do not make; give '
            f"the layer a multiple of {_GROUPS}, or another norm"
        )
    return nn.GroupNorm(_GROUPS, channels, eps)
