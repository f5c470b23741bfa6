"""Normalisation of the input pixels for the trunk."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pet.structures import ImageList


class PixelNorm(nn.Module):
    """Converts BGR images, uint8 or float32, to the trunk's channel order and normalises them.

    Mean and deviation are buffers that are not in the state dict, as the config defines them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channel_order: str, mean: Sequence[float], std: Sequence[float]) -> None:
        """``channel_order`` "RGB" or "BGR"; ``mean`` and ``std`` in this order, in 0..255."""
        super().__init__()
        self.swap = channel_order == "RGB"
        for name, value in (("mean", mean), ("std", std)):
            channels = torch.tensor(value, dtype=torch.float32).reshape(1, 3, 1, 1)
            self.register_buffer(name, channels, persistent=False)

    def forward(self, images: ImageList) -> Tensor:
        """Return (N, 3, H, W) float32, channels_last, with zeros in the padding."""
        x = images.tensor.flip(1) if self.swap else images.tensor
        x = (x.to(self.mean.dtype) - self.mean) / self.std
        for image, (height, width) in zip(x, images.sizes, strict=True):
            image[:, height:] = 0
            image[:, :, width:] = 0
        return x.contiguous(memory_format=torch.channels_last)
