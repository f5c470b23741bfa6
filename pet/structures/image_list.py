"""A batch of images of different sizes in one padded tensor, and where each image came from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from pet.ops.resize import resize_bilinear


@dataclass(frozen=True)
class ImageInfo:
    """Where an image of a batch came from."""

    image_id: int  # the id in its data set
    height: int  # pixels of the image as read, before any resizing
    width: int
    file: str  # path of the image file
    # Why the picture could not be read, where testing goes on without: the batch has a black one.
    error: str = ""


@dataclass(frozen=True)
class ImageList:
    """Images as they leave the loader: unnormalised, BGR, padded on the right and bottom.

    N images, H and W the padded height and width. Pixels are uint8, or float32 where
    INPUT.INTERPOLATION is "float", see ``UnresizedImages``.
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


class UnresizedImages(ImageList):
    """An ``ImageList`` whose images are resized when its tensor is first asked for.

    That is where they are then: a loader hands over bytes of the stored size, and the device, which
    has the time, makes floats of more pixels, nearly three times as many for COCO at 800.
    """

    stored: tuple[Tensor, ...]  # N x (H_n, W_n, 3) uint8, BGR
    padded_size: tuple[int, int]  # height and width of ``tensor``

    def __init__(
        self,
        stored: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        padded_size: tuple[int, int],
    ) -> None:
        """Take the images as they are ``stored``, and the ``sizes`` that they are to have."""
        # As the instance is frozen, like those of its base.
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
        """Return the batch on ``device``, where it is resized."""
        moved = [image.to(device, non_blocking=non_blocking) for image in self.stored]
        return UnresizedImages(moved, self.sizes, self.padded_size)

    def pin_memory(self) -> ImageList:
        """Return the batch in page-locked memory, as the DataLoader asks for."""
        pinned = [image.pin_memory() for image in self.stored]
        return UnresizedImages(pinned, self.sizes, self.padded_size)
