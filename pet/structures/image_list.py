"""A batch of images of different sizes in one padded tensor, and the source of each image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from pet.ops.resize import resize_bilinear


@dataclass(frozen=True)
class ImageInfo:
    """Source and original size of an image of a batch."""

    image_id: int  # the id in its data set
    height: int  # pixels of the image as read, before any resizing
    width: int
    file: str  # path of the image file
    # Why the file could not be read, if testing continues without it; its pixels are then black.
    error: str = ""


@dataclass(frozen=True)
class ImageList:
    """Images as they leave the loader: unnormalised, BGR, padded on the right and bottom.

    N images, H and W the padded height and width. Pixels are uint8, or float32 where
    INPUT.INTERPOLATION is "float" (see ``UnresizedImages``).
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
        """Return the batch in page-locked memory; the DataLoader calls this."""
        return replace(self, tensor=self.tensor.pin_memory())


class UnresizedImages(ImageList):
    """An ``ImageList`` whose images are resized at the first access to its ``tensor``.

    They are resized on their current device. So the loader transfers uint8 images of the stored
    size, and the device makes the larger float images: for COCO at 800 they have nearly three times
    as many pixels.
    """

    stored: tuple[Tensor, ...]  # N x (H_n, W_n, 3) uint8, BGR
    padded_size: tuple[int, int]  # height and width of ``tensor``

    def __init__(
        self,
        stored: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        padded_size: tuple[int, int],
    ) -> None:
        """``stored``: images in the stored size; ``sizes``: (height, width) after resizing."""
        # Plain assignment fails: the dataclass is frozen.
        vars(self).update(stored=tuple(stored), sizes=tuple(sizes), padded_size=padded_size)

    @cached_property
    def tensor(self) -> Tensor:
        """The images in float32, resized by ``resize_bilinear`` and padded."""
        height, width = self.padded_size
        padded = torch.zeros(
            (len(self.stored), height, width, 3), device=self.stored[0].device
        ).permute(0, 3, 1, 2)
        for slot, image, (rows, columns) in zip(padded, self.stored, self.sizes, strict=True):
            slot[:, :rows, :columns] = resize_bilinear(image, (rows, columns))
        return padded

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ImageList:
        """Return the batch on ``device``; it will be resized there."""
        moved = [image.to(device, non_blocking=non_blocking) for image in self.stored]
        return UnresizedImages(moved, self.sizes, self.padded_size)

    def pin_memory(self) -> ImageList:
        """Return the batch in page-locked memory; the DataLoader calls this."""
        pinned = [image.pin_memory() for image in self.stored]
        return UnresizedImages(pinned, self.sizes, self.padded_size)
