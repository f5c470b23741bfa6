"""The size of images and boxes as the network gets them, in training or in testing.

n images or boxes.
"""

from dataclasses import dataclass

import numpy as np

from pet.config import CfgNode
from pet.data.transforms.resize import resized_size

#: At most so many of TRAIN.SCALES are looked at, the shortest and the longest among them.
_MOST_SCALES = 5


@dataclass(frozen=True)
class NetworkSizes:
    """The rule by which images are resized, at one or more scales."""

    short_sides: tuple[int, ...]  # rising; () if images keep their size
    max_size: int
    rounding: str
    key: str  # of the config, for messages

    @property
    def scales(self) -> tuple[int, ...]:
        """The scales to look at, 0 for the size of the file."""
        return self.short_sides or (0,)

    def resized(self, sizes: np.ndarray, scale: int) -> np.ndarray:
        """Return the (n, 2) int64 heights and widths that images of ``sizes`` (n, 2) get."""
        if not scale or not len(sizes):
            return sizes
        kinds, of_kind = np.unique(sizes, axis=0, return_inverse=True)
        new = [
            resized_size((height, width), scale, self.max_size, self.rounding)
            if height > 0 and width > 0
            else (height, width)
            for height, width in kinds.tolist()
        ]
        return np.array(new, np.int64)[of_kind.reshape(-1)]


def training_sizes(cfg: CfgNode) -> NetworkSizes:
    """Return the sizes in training, by ``TRAIN.SCALES``."""
    scales = sorted(set(cfg.TRAIN.SCALES)) if "resize" in cfg.TRAIN.TRANSFORMS else []
    if len(scales) > _MOST_SCALES:
        scales = [scales[int(n)] for n in np.linspace(0, len(scales) - 1, _MOST_SCALES).round()]
    rounding = cfg.INPUT.RESIZE_ROUNDING
    return NetworkSizes(tuple(scales), cfg.TRAIN.MAX_SIZE, rounding, "TRAIN.SCALES")


def testing_sizes(cfg: CfgNode) -> NetworkSizes:
    """Return the sizes in testing, by ``TEST.SCALE``."""
    rounding = cfg.INPUT.RESIZE_ROUNDING
    return NetworkSizes((cfg.TEST.SCALE,), cfg.TEST.MAX_SIZE, rounding, "TEST.SCALE")
