"""Resizing to a given short side, held to a longest side."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from pet.config import CfgNode
from pet.data.dataset import Dataset
from pet.data.registry import TRANSFORMS
from pet.data.sample import Sample
from pet.ops.boxes import scale_boxes
from pet.ops.keypoints import scale_keypoints
from pet.ops.resize import resize_bilinear
from pet.utils.opencv import cv2


def resized_size(
    size: tuple[int, int], short_side: int, max_size: int, rounding: str = "half_up"
) -> tuple[int, int]:
    """Return the (height, width) that ``size`` gets: the shorter side becomes ``short_side``.

    The longer side never exceeds ``max_size``, and the aspect ratio stays but for ``rounding``:
    "half_up", as detectron2's ``ResizeShortestEdge``, or "floor", as torchvision's
    ``GeneralizedRCNNTransform``. Each takes the same floating-point steps as its source, whose
    errors decide ties and, with "floor", whether a side is one pixel short.
    """
    height, width = _ROUNDINGS[rounding](size, short_side, max_size)
    return max(height, 1), max(width, 1)


def _half_up(size: tuple[int, int], short_side: int, max_size: int) -> tuple[int, int]:
    scale = short_side / min(size)
    height, width = size[0] * scale, size[1] * scale
    # The shorter side is exact, which matters to the second scale.
    if size[0] < size[1]:
        height = float(short_side)
    else:
        width = float(short_side)
    longest = max(height, width)
    if longest > max_size:
        scale = max_size / longest
        height, width = height * scale, width * scale
    return int(height + 0.5), int(width + 0.5)


def _floor(size: tuple[int, int], short_side: int, max_size: int) -> tuple[int, int]:
    scale = min(short_side / min(size), max_size / max(size))
    return math.floor(size[0] * scale), math.floor(size[1] * scale)


_ROUNDINGS: dict[str, Callable[[tuple[int, int], int, int], tuple[int, int]]] = {
    "half_up": _half_up,
    "floor": _floor,
}


def resize_image(
    image: np.ndarray, size: tuple[int, int], interpolation: str = "opencv"
) -> np.ndarray:
    """Return ``image`` (H, W, 3) uint8 at ``size`` (height, width).

    ``interpolation`` is "opencv" (by area when it shrinks, else bilinear), "pil" (Pillow's
    bilinear, antialiased) or "float" (PyTorch's bilinear, not antialiased). The result is uint8,
    but float32 with "float": 0..255 and not rounded.
    """
    return _INTERPOLATIONS[interpolation](image, size)


def _by_opencv(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.shape[:2] == size:
        return image
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (size[1], size[0]), interpolation=method)


def _by_pillow(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.shape[:2] == size:
        return image
    resized = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.array(resized)  # a copy: Pillow's own array cannot be written to


def _by_torch(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    resized = resize_bilinear(torch.from_numpy(np.ascontiguousarray(image)), size)
    return resized.permute(1, 2, 0).numpy()


_INTERPOLATIONS: dict[str, Callable[[np.ndarray, tuple[int, int]], np.ndarray]] = {
    "opencv": _by_opencv,
    "pil": _by_pillow,
    "float": _by_torch,
}


class Resize:
    """Bring the shorter side to one of several lengths, drawn for each sample."""

    def __init__(
        self,
        short_sides: Sequence[int],
        max_size: int,
        interpolation: str = "opencv",
        rounding: str = "half_up",
    ) -> None:
        """``short_sides`` to draw from, and the longest allowed side, in pixels.

        ``interpolation`` is that of ``resize_image``, ``rounding`` that of ``resized_size``.
        """
        self.short_sides = tuple(short_sides)
        self.max_size = max_size
        self.interpolation = interpolation
        self.rounding = rounding

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return ``sample`` resized; with "float" the image is only told what size it will have."""
        short_side = self.short_sides[int(rng.integers(len(self.short_sides)))]
        size = resized_size(sample.size, short_side, self.max_size, self.rounding)
        # Each side is rounded for itself, so that the two ratios may differ a little.
        ratio_y, ratio_x = size[0] / sample.size[0], size[1] / sample.size[1]
        masks = sample.masks
        if masks is not None:
            masks = tuple(mask.resize(ratio_x, ratio_y) for mask in masks)
        keypoints = sample.keypoints
        if keypoints is not None:
            keypoints = scale_keypoints(keypoints, ratio_x, ratio_y)
        later = self.interpolation == "float"
        image = sample.image if later else resize_image(sample.image, size, self.interpolation)
        return replace(
            sample,
            image=image,
            resize_to=size if later else None,
            boxes=scale_boxes(sample.boxes, ratio_x, ratio_y),
            masks=masks,
            keypoints=keypoints,
        )


@TRANSFORMS.register("resize")
def resize(cfg: CfgNode, dataset: Dataset) -> Resize:
    """Build the resizing of training images to one of ``TRAIN.SCALES``."""
    return build_resize(cfg.TRAIN.SCALES, cfg.TRAIN.MAX_SIZE, cfg)


def build_resize(short_sides: Sequence[int], max_size: int, cfg: CfgNode) -> Resize:
    """Build a ``Resize`` in the way that ``INPUT`` says."""
    return Resize(short_sides, max_size, cfg.INPUT.INTERPOLATION, cfg.INPUT.RESIZE_ROUNDING)
