"""Turning training pictures by quarter turns."""

from dataclasses import replace

import numpy as np

from pet.config import CfgNode
from pet.data.dataset import Dataset
from pet.data.registry import TRANSFORMS
from pet.data.sample import Sample
from pet.ops.boxes import turn_boxes
from pet.ops.keypoints import turn_keypoints
from pet.utils.opencv import cv2


class RandomRotate90:
    """Turns a sample by 90, 180 or 270 degrees, equally likely, with a given probability."""

    def __init__(self, prob: float) -> None:
        """``prob`` of a turn, in [0, 1]."""
        self.prob = prob

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return ``sample``, turned or unchanged."""
        if rng.random() >= self.prob:
            return sample
        for _ in range(int(rng.integers(1, 4))):
            sample = quarter_turn(sample)
        return sample


def quarter_turn(sample: Sample) -> Sample:
    """Return ``sample`` turned by 90 degrees, counter-clockwise; height and width change places."""
    width = sample.size[1]
    masks, keypoints, later = sample.masks, sample.keypoints, sample.resize_to
    return replace(
        sample,
        image=cv2.rotate(sample.image, cv2.ROTATE_90_COUNTERCLOCKWISE),
        resize_to=None if later is None else (later[1], later[0]),
        boxes=turn_boxes(sample.boxes, width),
        masks=None if masks is None else tuple(mask.turn(width) for mask in masks),
        keypoints=None if keypoints is None else turn_keypoints(keypoints, width),
    )


@TRANSFORMS.register("random_rotate90")
def random_rotate90(cfg: CfgNode, dataset: Dataset) -> RandomRotate90:
    """Build the turns of training images with probability ``TRAIN.ROTATE90_PROB``."""
    return RandomRotate90(cfg.TRAIN.ROTATE90_PROB)
