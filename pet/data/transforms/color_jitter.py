"""Random brightness, contrast, saturation and hue, defined as in torchvision's ``ColorJitter``.

Images are (H, W, 3) uint8 BGR. torchvision cuts decimals off, here results are rounded; so values
may differ by one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pet.config import CfgNode
from pet.data.dataset import Dataset
from pet.data.registry import TRANSFORMS
from pet.data.sample import Sample
from pet.utils.opencv import cv2

_GRAY = (0.114, 0.587, 0.2989)  # weights of blue, green and red. Source: torchvision.
# Rows of which the hue is changed at once: their floats fit the cache, which is three times as fast
# as the whole picture at once.
_STRIP = 32


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Return ``image`` with every value multiplied by ``factor``, at least 0."""
    return _by_table(image, np.arange(256) * factor)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Return ``image`` with ``factor`` times the distance of every value to the mean brightness.

    ``factor`` is at least 0: 0 gives a grey picture, 1 the same one.
    """
    mean = float(np.dot(cv2.mean(image)[:3], _GRAY))
    return _by_table(image, mean + (np.arange(256) - mean) * factor)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Return ``image`` with ``factor`` times the distance of every pixel to its grey value.

    ``factor`` is at least 0: 0 gives shades of grey, 1 the same picture.
    """
    weights = factor * np.eye(3) + (1 - factor) * np.tile(_GRAY, (3, 1))
    return cv2.transform(image, weights.astype(np.float32))


def adjust_hue(image: np.ndarray, shift: float) -> np.ndarray:
    """Return ``image`` with its hues turned by ``shift`` of a whole turn, in [-0.5, 0.5]."""
    turned = np.empty_like(image)
    for first in range(0, len(image), _STRIP):
        strip = image[first : first + _STRIP].astype(np.float32)
        hsv = cv2.cvtColor(strip, cv2.COLOR_BGR2HSV)  # the hue in degrees
        hue = hsv[..., 0]
        hue += np.float32(360 * (shift % 1))  # OpenCV takes hues beyond 360, but none below 0
        bgr = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
        turned[first : first + _STRIP] = cv2.convertScaleAbs(bgr)  # rounds
    return turned


def _by_table(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return ``image`` with value v replaced by ``values[v]`` (256,), rounded into 0..255."""
    return cv2.LUT(image, np.rint(values).clip(0, 255).astype(np.uint8))


#: The changes of ``ColorJitter``.
_CHANGES: tuple[tuple[str, Callable[[np.ndarray, float], np.ndarray]], ...] = (
    ("brightness", adjust_brightness),
    ("contrast", adjust_contrast),
    ("saturation", adjust_saturation),
    ("hue", adjust_hue),
)


@dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """Changes brightness, contrast, saturation and hue of a sample, in random order.

    The factor of the first three is drawn from 1 - strength to 1 + strength, at least 0; the shift
    of the hue from -strength to strength, in whole turns, at most 0.5.
    """

    prob: float  # of each change, in [0, 1]
    brightness: float
    contrast: float
    saturation: float
    hue: float

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return ``sample`` with another picture; nothing moves."""
        image = sample.image
        for place in rng.permutation(len(_CHANGES)).tolist():
            name, change = _CHANGES[place]
            strength = getattr(self, name)
            drawn, centre = rng.random(), 0.0 if name == "hue" else 1.0
            value = rng.uniform(centre - strength, centre + strength)
            if drawn < self.prob and strength:
                image = change(image, value if name == "hue" else max(value, 0.0))
        return replace(sample, image=image)


@TRANSFORMS.register("color_jitter")
def color_jitter(cfg: CfgNode, dataset: Dataset) -> ColorJitter:
    """Build the change of colours of training images by the keys of ``TRAIN.COLOR_JITTER``."""
    keys = cfg.TRAIN.COLOR_JITTER
    return ColorJitter(
        prob=keys.PROB,
        brightness=keys.BRIGHTNESS,
        contrast=keys.CONTRAST,
        saturation=keys.SATURATION,
        hue=keys.HUE,
    )
