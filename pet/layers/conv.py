"""Convolutions that are computed together with the norm that follows them."""

from typing import TypeGuard

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from pet.layers.deform_conv import DeformConv2d
from pet.layers.norm import FrozenBatchNorm2d, make_norm, scale_and_shift
from pet.ops.conv3x3 import conv3x3


def conv_norm(x: Tensor, conv: nn.Conv2d, norm: nn.Module) -> Tensor:
    """Return ``norm(conv(x))`` for ``x`` (N, C, H, W).

    A norm with fixed statistics is folded into the weight: the map before the norm is never written
    to memory, and the gradient of the weight stays exact. ``conv`` must have no bias, unless
    ``prepare_for_inference`` has folded the norm permanently.
    """
    if has_fixed_statistics(norm):
        assert conv.bias is None
        scale, shift = scale_and_shift(norm)
        return _convolve(x, conv, conv.weight * scale.reshape(-1, 1, 1, 1), shift)
    return norm(_convolve(x, conv, conv.weight, conv.bias))


def has_fixed_statistics(norm: nn.Module | None) -> TypeGuard[FrozenBatchNorm2d | _BatchNorm]:
    """Whether ``norm`` is a batch norm with fixed statistics: frozen, or in eval mode."""
    return isinstance(norm, FrozenBatchNorm2d) or (
        isinstance(norm, _BatchNorm) and not norm.training
    )


def _convolve(x: Tensor, conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply ``conv`` to ``x`` with this ``weight`` and ``bias`` instead of its own."""
    if isinstance(conv, DeformConv2d):
        return conv.convolve(x, weight, bias)
    # All convolutions of Pet have numeric zero padding.
    assert not isinstance(conv.padding, str) and conv.padding_mode == "zeros"
    if _is_plain_3x3(conv):
        return conv3x3(x, weight, bias)
    return F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)


def _is_plain_3x3(conv: nn.Conv2d) -> bool:
    steps = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    return steps == ((3, 3), (1, 1), (1, 1), (1, 1), 1)


def as_matrix(conv: nn.Conv2d) -> Tensor:
    """Return the weight (dim_out, dim_in) of a 1x1 convolution.

    Its gradient has the strides of a channels_last weight; DistributedDataParallel warns about
    other strides.
    """
    return conv.weight.permute(0, 2, 3, 1).flatten(1)


class ConvNorm(nn.Conv2d):
    """A convolution with an odd kernel and same padding, followed by a norm, or with a bias.

    The norm is the submodule ``norm``; without a norm the parameters are those of ``nn.Conv2d``.
    """

    norm: nn.Module | None

    def __init__(self, dim_in: int, dim_out: int, kernel: int, norm: str = "none") -> None:
        """``norm``: a name for ``make_norm``, or "none"."""
        super().__init__(dim_in, dim_out, kernel, padding=kernel // 2, bias=norm == "none")
        self.norm = None if norm == "none" else make_norm(norm, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, dim_in, H, W) to (N, dim_out, H, W)."""
        if self.norm is None:
            return _convolve(x, self, self.weight, self.bias)
        return conv_norm(x, self, self.norm)


def init_conv(conv: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, gain: str = "relu") -> None:
    """Initialise ``conv`` for a ReLU after it (``gain`` "relu") or none ("linear"); zero bias."""
    if gain == "relu":
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    else:
        nn.init.kaiming_uniform_(conv.weight, a=1)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
