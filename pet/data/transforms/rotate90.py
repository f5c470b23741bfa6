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

#: Number of quarter turns, counter-clockwise -> OpenCV's code.
_ROTATIONS = {
    1: cv2.ROTATE_90_COUNTERCLOCKWISE,
    2: cv2.ROTATE_180,
    3: cv2.ROTATE_90_CLOCKWISE,
}


class RandomRotate90:
    """Turns a sample by 90, 180 or 270 degrees, equally likely, with a given probability."""

    def __init__(self, prob: float) -> None:
        """``prob`` of a turn, in [0, 1]."""
        self.prob = prob

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return ``sample``, turned or unchanged."""
        if rng.random() >= self.prob:
            return sample
        return turn(sample, int(rng.integers(1, 4)))


def turn(sample: Sample, turns: int) -> Sample:
    """Return ``sample`` turned counter-clockwise by 90 degrees, ``turns`` (1, 2 or 3) times.

    With an odd number height and width change places.
    """
    height, width = sample.size
    boxes, masks, keypoints = sample.boxes, sample.masks, sample.keypoints
    for _ in range(turns):
        boxes = turn_boxes(boxes, width)
        masks = None if masks is None else tuple([mask.turn(width) for mask in masks])
        keypoints = None if keypoints is None else turn_keypoints(keypoints, width)
        height, width = width, height
    return replace(
        sample,
        image=cv2.rotate(sample.image, _ROTATIONS[turns]),
        resize_to=None if sample.resize_to is None else (height, width),
        boxes=boxes,
        masks=masks,
        keypoints=keypoints,
    )


@TRANSFORMS.register("random_rotate90")
def random_rotate90(cfg: CfgNode, dataset: Dataset) -> RandomRotate90:
    """Build the turns of training images with probability ``TRAIN.ROTATE90_PROB``."""
    return RandomRotate90(cfg.TRAIN.ROTATE90_PROB)
