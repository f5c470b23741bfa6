"""A batch of images of different sizes in one padded tensor, and where each image came from."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class ImageInfo:
    """Where an image of a batch came from."""

    image_id: int  # the id in its data set
    height: int  # pixels of the image as stored, before any resizing
    width: int
    file: str  # path of the image file


@dataclass(frozen=True)
class ImageList:
    """Images as they leave the loader: unnormalised, BGR, padded on the right and bottom.

    N images, H and W the padded height and width. Pixels are uint8, or float32 where
    INPUT.INTERPOLATION is "float".
    """

    tensor: Tensor  # (N, 3, H, W) uint8 or float32, 0..255, BGR, channels_last in memory
    sizes: tuple[tuple[int, int], ...]  # N x (height, width) without the padding, in pixels

    def __post_init__(self) -> None:
        assert self.tensor.dim() == 4 and len(self.sizes) == self.tensor.shape[0]
        padded_height, padded_width = self.tensor.shape[-2:]
        assert all(h <= padded_height and w <= padded_width for h, w in self.sizes), self.sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "ImageList":
        """Return the batch on ``device``."""
        return replace(self, tensor=self.tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "ImageList":
        """Return the batch in page-locked memory, as the DataLoader asks for."""
        return replace(self, tensor=self.tensor.pin_memory())
