"""The 3x3 convolution with stride 1 and padding 1."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pet.ops.cpu.winograd import winograd_conv3x3

# The limits from which Winograd's algorithm is faster than the plain convolution: input and output
# channels, height of the map, pixels over all images.
_CHANNELS, _MIN_ROWS, _MIN_PIXELS = range(128, 257), 12, 2500


def use_winograd(x: Tensor, weight: Tensor) -> bool:
    """Whether to convolve ``x`` (N, C, H, W) by ``weight`` (K, C, 3, 3) with Winograd's algorithm.

    True where it was measured to be faster, in float32 on a CPU with AVX-512.
    """
    return (
        not torch.compiler.is_compiling()  # first: the compiler cannot trace some checks below
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and x.dim() == 4
        and x.shape[1] == weight.shape[1]
        and weight.shape[0] in _CHANNELS
        and weight.shape[1] in _CHANNELS
        and x.shape[2] >= _MIN_ROWS
        and x.numel() >= _MIN_PIXELS * x.shape[1]
        and torch.backends.mkldnn.is_available()
        and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    )


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``F.conv2d(x, weight, bias, padding=1)``, by Winograd's algorithm if that is faster.

    ``x`` (N, C, H, W), ``weight`` (K, C, 3, 3), ``bias`` (K,); returns (N, K, H, W). With
    Winograd's algorithm the result is channels_last and has first derivatives only.
    """
    if use_winograd(x, weight):
        return winograd_conv3x3(x, weight, bias)
    return F.conv2d(x, weight, bias, padding=1)
