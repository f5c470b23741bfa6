"""Cropping training pictures around an object."""

import math
from dataclasses import replace

import numpy as np

from pet.config import CfgNode
from pet.data.dataset import Dataset
from pet.data.registry import TRANSFORMS
from pet.data.sample import Sample
from pet.data.transforms.cut import cut, drop_lost, select, visible_share


class RandomCrop:
    """Crops a sample to a random window that has the centre of one of its objects in it."""

    def __init__(self, prob: float, sides: tuple[float, float], min_visible: float) -> None:
        """``prob`` of a crop, in [0, 1]; each side is a share of the old one, drawn from ``sides``.

        An object stays if at least the share ``min_visible`` of its box lies in the window.
        """
        self.prob, self.min_visible = prob, min_visible
        self.sides = min(sides), max(sides)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return ``sample``, cropped; unchanged if it has no objects, or if none would stay."""
        if rng.random() >= self.prob or not len(sample.boxes):
            return sample
        size = self._draw_side(sample.size[0], rng), self._draw_side(sample.size[1], rng)
        box = sample.boxes[int(rng.integers(len(sample.boxes)))].tolist()
        y = _draw_start((box[1] + box[3]) / 2, size[0], sample.size[0], rng)
        x = _draw_start((box[0] + box[2]) / 2, size[1], sample.size[1], rng)
        stays = visible_share(sample.boxes, x, y, size) >= self.min_visible
        part = drop_lost(cut(select(sample, stays), x, y, size))
        if not len(part.boxes):
            return sample
        return replace(part, image=np.ascontiguousarray(part.image))

    def _draw_side(self, side: int, rng: np.random.Generator) -> int:
        return min(max(round(side * rng.uniform(*self.sides)), 1), side)


def _draw_start(centre: float, length: int, side: int, rng: np.random.Generator) -> int:
    """Return the first pixel of a window of ``length`` in 0..``side`` that ``centre`` lies in."""
    centre = min(max(centre, 0.0), float(side))
    low, high = max(math.ceil(centre) - length, 0), min(math.floor(centre), side - length)
    return int(rng.integers(low, high + 1))


@TRANSFORMS.register("random_crop")
def random_crop(cfg: CfgNode, dataset: Dataset) -> RandomCrop:
    """Build the cropping of training images by the keys of ``TRAIN.RANDOM_CROP``."""
    keys = cfg.TRAIN.RANDOM_CROP
    return RandomCrop(keys.PROB, keys.SIDES, keys.MIN_VISIBLE)
