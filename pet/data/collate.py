"""Joining samples into a batch. N images, H and W the padded height and width."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pet.data.sample import UnresizedImage
from pet.structures import ImageInfo, ImageList, Targets, UnresizedImages

TrainItem = tuple[np.ndarray | UnresizedImage, Targets, ImageInfo]
TestItem = tuple[np.ndarray | UnresizedImage, ImageInfo]
TrainBatch = tuple[ImageList, list[Targets], list[ImageInfo]]
TestBatch = tuple[ImageList, list[ImageInfo]]


def batch_images(images: Sequence[np.ndarray | UnresizedImage], divisibility: int) -> ImageList:
    """Pad ``images``, each (height, width, 3) BGR, with zeros on the right and bottom.

    A batch of arrays has their dtype. A batch of images that are not resized yet (if
    INPUT.INTERPOLATION is "float") becomes float32 on its device. The padded sides are the least
    multiples of ``divisibility`` that hold every image.
    """
    later = [image for image in images if isinstance(image, UnresizedImage)]
    ready = [image for image in images if isinstance(image, np.ndarray)]
    assert not (later and ready), "images are resized here or on the device, all of a batch alike"
    sizes = tuple([image.size for image in later] or [image.shape[:2] for image in ready])
    height, width = (
        -(-max(sides) // divisibility) * divisibility for sides in zip(*sizes, strict=True)
    )
    if later:
        stored = [torch.from_numpy(np.ascontiguousarray(image.image)) for image in later]
        return UnresizedImages(stored, sizes, (height, width))
    padded = np.zeros((len(ready), height, width, 3), np.result_type(*ready))
    for slot, image in zip(padded, ready, strict=True):
        slot[: image.shape[0], : image.shape[1]] = image
    # The permuted view is (N, 3, H, W) and channels_last, without a copy.
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

    __test__ = False  # not a test case, despite its name

    divisibility: int  # of the padded sides, in pixels

    def __call__(self, items: Sequence[TestItem]) -> TestBatch:
        """Join ``items``, in order."""
        images, infos = zip(*items, strict=True)
        return batch_images(images, self.divisibility), list(infos)
