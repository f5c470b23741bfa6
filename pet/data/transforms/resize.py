"""Resizing to a given short side, held to a longest side."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pet.data.sample import Sample
from pet.ops.boxes import scale_boxes
from pet.utils.opencv import cv2


def resized_size(size: tuple[int, int], short_side: int, max_size: int) -> tuple[int, int]:
    """Return the (height, width) that ``size`` gets: the shorter side becomes ``short_side``.

    The longer side never exceeds ``max_size``, and the aspect ratio stays but for rounding, which
    is half up, as in detectron2's ``ResizeShortestEdge``.
    """
    scale = min(short_side / min(size), max_size / max(size))
    height, width = (max(int(side * scale + 0.5), 1) for side in size)
    return height, width


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return ``image`` (H, W, 3) at ``size`` (height, width): by area when it shrinks."""
    if image.shape[:2] == size:
        return image
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (size[1], size[0]), interpolation=method)


class Resize:
    """Bring the shorter side to one of several lengths, drawn for each sample."""

    def __init__(self, short_sides: Sequence[int], max_size: int) -> None:
        """``short_sides`` to draw from, and the longest allowed side, in pixels."""
        self.short_sides = tuple(short_sides)
        self.max_size = max_size

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return ``sample`` resized."""
        short_side = self.short_sides[int(rng.integers(len(self.short_sides)))]
        size = resized_size(sample.size, short_side, self.max_size)
        # Each side is rounded for itself, so that the two ratios may differ a little.
        ratio_y, ratio_x = size[0] / sample.size[0], size[1] / sample.size[1]
        masks = sample.masks
        if masks is not None:
            masks = tuple(mask.resize(ratio_x, ratio_y) for mask in masks)
        return replace(
            sample,
            image=resize_image(sample.image, size),
            boxes=scale_boxes(sample.boxes, ratio_x, ratio_y),
            masks=masks,
        )
