"""The 3x3 convolution that keeps the size of a map."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pet.ops.cpu.winograd import winograd_conv3x3

# With so many channels, and from so many rows of a map and pixels of all images on, it is faster
# than the plain convolution.
_CHANNELS, _MIN_ROWS, _MIN_PIXELS = range(128, 257), 12, 2500


def winograd_pays(x: Tensor, weight: Tensor) -> bool:
    """Whether Winograd's way is the faster one for ``x`` (N, C, H, W) and ``weight`` (K, C, 3, 3).

    As measured in float32, on a CPU with AVX-512.
    """
    return (
        not torch.compiler.is_compiling()  # the first, as the compiler cannot see through all below
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
    """Return ``F.conv2d(x, weight, bias, padding=1)``, on a CPU by Winograd's way where it pays.

    ``x`` (N, C, H, W), ``weight`` (K, C, 3, 3), ``bias`` (K,); returns (N, K, H, W). By Winograd's
    way that is channels_last, and has first derivatives only.
    """
    if winograd_pays(x, weight):
        return winograd_conv3x3(x, weight, bias)
    return F.conv2d(x, weight, bias, padding=1)
