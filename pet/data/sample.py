"""One annotated image on its way from the file to the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pet.ops.boxes import clip_boxes, valid_boxes
from pet.structures import ImageInfo, Mask, MaskCrops, Targets


@dataclass(frozen=True)
class UnresizedImage:
    """An image (H, W, 3) uint8 BGR, and its (height, width) after resizing on the device."""

    image: np.ndarray
    size: tuple[int, int]


@dataclass(frozen=True)
class Sample:
    """An image and its annotations; N objects, N may be 0."""

    image: np.ndarray  # (H, W, 3) uint8 BGR
    info: ImageInfo  # the source of the image, with its size before any transform
    boxes: Tensor  # (N, 4) float32, xyxy, in pixels of an image of ``size``
    labels: Tensor  # (N,) int64, 1..K
    masks: tuple[Mask, ...] | None  # N masks of ``size``, or None if none are read
    # (N, P, 3) float32, x, y in pixels of ``size`` and visibility; None if none are read
    keypoints: Tensor | None = None
    # (height, width) of ``image`` after resizing on the device, by a "float" Resize
    resize_to: tuple[int, int] | None = None
    # Further values of each object, by name, from a data set of the user: (N, ...) each. They reach
    # training as ``Targets.extras``; no transform changes them.
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.extras.items():
            if len(values) != len(self.labels):
                raise ValueError(
                    f"extras[{name!r}] of the image {self.info.file} are {len(values)}, and there "
                    f"are {len(self.labels)} objects in it; give one of each"
                )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels, after resizing on the device if that is due."""
        return self.resize_to or (self.image.shape[0], self.image.shape[1])

    @property
    def batch_image(self) -> np.ndarray | UnresizedImage:
        """The image as ``batch_images`` takes it."""
        if self.resize_to is None:
            return self.image
        return UnresizedImage(self.image, self.resize_to)


def bare_sample(image: np.ndarray) -> Sample:
    """Return ``image`` (height, width, 3) as a sample without annotations."""
    info = ImageInfo(0, image.shape[0], image.shape[1], "")
    return Sample(image, info, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), None)


def make_targets(sample: Sample) -> Targets:
    """Return the training targets of ``sample``: boxes clipped, empty ones dropped, masks cropped.

    An object whose box a transform left empty is dropped with its label and other values.
    """
    boxes = clip_boxes(sample.boxes, sample.size)
    keep = valid_boxes(boxes)
    masks = None
    if sample.masks is not None:
        kept = torch.nonzero(keep).flatten().tolist()
        masks = MaskCrops.pack([sample.masks[place].crop(sample.size) for place in kept])
    return Targets(
        boxes[keep],
        sample.labels[keep],
        sample.size,
        sample.info.image_id,
        masks,
        None if sample.keypoints is None else sample.keypoints[keep],
        {name: values[keep] for name, values in sample.extras.items()},
    )
