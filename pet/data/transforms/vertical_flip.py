"""Turning training pictures upside down, as in a mirror."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pet.config import CfgNode
from pet.data.dataset import Dataset
from pet.data.registry import TRANSFORMS
from pet.data.sample import Sample
from pet.data.transforms.flip import mirrored_points
from pet.ops.boxes import flip_boxes_vertically
from pet.ops.keypoints import flip_keypoints_vertically
from pet.utils.opencv import cv2


class RandomVerticalFlip:
    """Exchanges above and below of a sample with a given probability."""

    def __init__(self, prob: float, keypoint_order: Sequence[int] = ()) -> None:
        """``prob`` in [0, 1]; ``keypoint_order`` as ``KeypointLayout.flip_order`` gives it."""
        self.prob = prob
        self.keypoint_order = tuple(keypoint_order)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return ``sample``, upside down or unchanged."""
        if rng.random() >= self.prob:
            return sample
        height, order = sample.size[0], self.keypoint_order
        masks, points = sample.masks, sample.keypoints
        return replace(
            sample,
            image=cv2.flip(sample.image, 0),
            boxes=flip_boxes_vertically(sample.boxes, height),
            masks=None if masks is None else tuple(mask.flip_vertically(height) for mask in masks),
            keypoints=None if points is None else flip_keypoints_vertically(points, height, order),
        )


@TRANSFORMS.register("random_vertical_flip")
def random_vertical_flip(cfg: CfgNode, dataset: Dataset) -> RandomVerticalFlip:
    """Build the flip of training images with probability ``TRAIN.VERTICAL_FLIP_PROB``.

    Raises ValueError if a keypoint has no partner on the other side.
    """
    prob = cfg.TRAIN.VERTICAL_FLIP_PROB
    return RandomVerticalFlip(prob, mirrored_points(dataset, prob, "TRAIN.VERTICAL_FLIP_PROB"))
