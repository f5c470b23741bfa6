"""Resizing of images with PyTorch, on their device."""

import torch
from torch import Tensor
from torch.nn import functional as F


def resize_bilinear(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ``image`` (H, W, 3) uint8 resized to ``size``, as (3, height, width) float32, 0..255.

    Bilinear, not antialiased and not rounded, as torchvision's detectors resize their input.
    """
    # In contiguous (channel by channel) memory, as there: the last bit may depend on it.
    channels = image.permute(2, 0, 1).to(torch.float32, memory_format=torch.contiguous_format)
    return F.interpolate(channels[None], size=size, mode="bilinear", align_corners=False)[0]
