"""Mirroring left and right."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pet.config import CfgNode
from pet.data.dataset import Dataset
from pet.data.registry import TRANSFORMS
from pet.data.sample import Sample
from pet.ops.boxes import flip_boxes
from pet.ops.keypoints import flip_keypoints
from pet.utils.opencv import cv2


class RandomHorizontalFlip:
    """Mirrors a sample left and right with a given probability."""

    def __init__(self, prob: float, keypoint_order: Sequence[int] = ()) -> None:
        """``prob`` in [0, 1]; ``keypoint_order`` as ``KeypointLayout.flip_order`` gives it."""
        self.prob = prob
        self.keypoint_order = tuple(keypoint_order)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return ``sample``, mirrored or unchanged."""
        if rng.random() >= self.prob:
            return sample
        width = sample.size[1]
        masks = sample.masks
        if masks is not None:
            masks = tuple(mask.flip(width) for mask in masks)
        keypoints = sample.keypoints
        if keypoints is not None:
            keypoints = flip_keypoints(keypoints, width, self.keypoint_order)
        return replace(
            sample,
            image=cv2.flip(sample.image, 1),  # faster than NumPy's copy
            boxes=flip_boxes(sample.boxes, width),
            masks=masks,
            keypoints=keypoints,
        )


@TRANSFORMS.register("random_horizontal_flip")
def random_horizontal_flip(cfg: CfgNode, dataset: Dataset) -> RandomHorizontalFlip:
    """Build the mirroring of training images with probability ``TRAIN.FLIP_PROB``.

    Raises ValueError if a keypoint has no partner on the other side.
    """
    prob = cfg.TRAIN.FLIP_PROB
    return RandomHorizontalFlip(prob, mirrored_points(dataset, prob, "TRAIN.FLIP_PROB"))


def mirrored_points(dataset: Dataset, prob: float, key: str) -> tuple[int, ...]:
    """Return the ``flip_order`` of the keypoints of ``dataset``; () without any, or at ``prob`` 0.

    Raises ValueError, which names the ``key`` of the probability, if a point has no partner.
    """
    layout = dataset.keypoint_layout
    if layout is None or not prob:
        return ()
    try:
        return layout.flip_order()
    except ValueError as error:
        raise ValueError(f"{error}, or give {key} 0") from None
