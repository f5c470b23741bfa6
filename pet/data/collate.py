"""Joining samples into a batch. N images, H and W the padded height and width."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pet.structures import ImageInfo, ImageList, Targets

TrainItem = tuple[np.ndarray, Targets, ImageInfo]
TestItem = tuple[np.ndarray, ImageInfo]
TrainBatch = tuple[ImageList, list[Targets], list[ImageInfo]]
TestBatch = tuple[ImageList, list[ImageInfo]]


def batch_images(images: Sequence[np.ndarray], divisibility: int) -> ImageList:
    """Pad ``images``, each (height, width, 3) BGR, with zeros on the right and bottom.

    They are uint8, or float32 where INPUT.INTERPOLATION is "float", and so is the batch. The
    padded sides are the least multiples of ``divisibility`` that hold every image.
    """
    sizes = tuple((image.shape[0], image.shape[1]) for image in images)
    height, width = (
        -(-max(sides) // divisibility) * divisibility for sides in zip(*sizes, strict=True)
    )
    padded = np.zeros((len(images), height, width, 3), np.result_type(*images))
    for slot, image in zip(padded, images, strict=True):
        slot[: image.shape[0], : image.shape[1]] = image
    # The permuted view is (N, 3, H, W) and channels_last, at no cost.
    return ImageList(torch.from_numpy(padded).permute(0, 3, 1, 2), sizes)


@dataclass(frozen=True)
class TrainCollate:
    """Joins training samples into (images, targets, infos)."""

    divisibility: int  # of the padded sides, in pixels

    def __call__(self, items: Sequence[TrainItem]) -> TrainBatch:
        """Join ``items``, in order."""
        images, targets, infos = zip(*items, strict=True)
        return batch_images(images, self.divisibility), list(targets), list(infos)


@dataclass(frozen=True)
class TestCollate:
    """Joins test samples into (images, infos)."""

    __test__ = False  # not a test case, for all its name

    divisibility: int  # of the padded sides, in pixels

    def __call__(self, items: Sequence[TestItem]) -> TestBatch:
        """Join ``items``, in order."""
        images, infos = zip(*items, strict=True)
        return batch_images(images, self.divisibility), list(infos)
