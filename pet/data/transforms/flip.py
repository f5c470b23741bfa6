"""Mirroring left and right."""

from dataclasses import replace

import numpy as np

from pet.data.sample import Sample
from pet.ops.boxes import flip_boxes


class RandomHorizontalFlip:
    """Mirror a sample left and right by a given chance."""

    def __init__(self, prob: float) -> None:
        """``prob`` in [0, 1]."""
        self.prob = prob

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return ``sample``, mirrored or as it is."""
        if rng.random() >= self.prob:
            return sample
        width = sample.size[1]
        masks = sample.masks
        if masks is not None:
            masks = tuple(mask.flip(width) for mask in masks)
        return replace(
            sample,
            image=np.ascontiguousarray(sample.image[:, ::-1]),
            boxes=flip_boxes(sample.boxes, width),
            masks=masks,
        )
