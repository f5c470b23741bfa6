"""The size of images and boxes as the network gets them, in training or in testing.

n images or boxes.
"""

from dataclasses import dataclass

import numpy as np

from pet.config import CfgNode
from pet.data.transforms.resize import resized_size

#: At most so many scales are looked at, the least and the greatest among them.
_MOST_SCALES = 5


@dataclass(frozen=True, kw_only=True)
class NetworkSizes:
    """The rule by which images are resized, at one or more scales."""

    # Rising: lengths of the shorter side or, with ``fit``, factors; () if images keep their size.
    given: tuple[float, ...]
    key: str  # of the config, for messages
    max_size: int = 0
    rounding: str = "half_up"
    fit: tuple[int, int] | None = None  # at factor 1 an image just fits into this height and width

    @property
    def scales(self) -> tuple[float, ...]:
        """The scales to look at, 0 for the size of the file."""
        return self.given or (0,)

    def resized(self, sizes: np.ndarray, scale: float) -> np.ndarray:
        """Return the (n, 2) int64 heights and widths that images of ``sizes`` (n, 2) get."""
        if not scale or not len(sizes):
            return sizes
        if self.fit is not None:  # as large_scale_jitter does, which then crops or pads
            ratios = scale * (np.array(self.fit) / np.maximum(sizes, 1)).min(axis=1)
            return np.maximum(np.round(sizes * ratios[:, None]), 1).astype(np.int64)
        kinds, of_kind = np.unique(sizes, axis=0, return_inverse=True)
        new = [
            resized_size((height, width), int(scale), self.max_size, self.rounding)
            if height > 0 and width > 0
            else (height, width)
            for height, width in kinds.tolist()
        ]
        return np.array(new, np.int64)[of_kind.reshape(-1)]


def training_sizes(cfg: CfgNode) -> NetworkSizes:
    """Return the sizes in training, by ``TRAIN.SCALES`` or ``TRAIN.LARGE_SCALE_JITTER``."""
    if "large_scale_jitter" in cfg.TRAIN.TRANSFORMS:
        jitter = cfg.TRAIN.LARGE_SCALE_JITTER
        low, high = min(jitter.SCALES), max(jitter.SCALES)
        factors = tuple(np.linspace(low, high, _MOST_SCALES if low < high else 1).tolist())
        key = "TRAIN.LARGE_SCALE_JITTER.SCALES"
        return NetworkSizes(given=factors, key=key, fit=tuple(jitter.SIZE))
    scales = sorted(set(cfg.TRAIN.SCALES)) if "resize" in cfg.TRAIN.TRANSFORMS else []
    if len(scales) > _MOST_SCALES:
        scales = [scales[int(n)] for n in np.linspace(0, len(scales) - 1, _MOST_SCALES).round()]
    return NetworkSizes(
        given=tuple(scales),
        key="TRAIN.SCALES",
        max_size=cfg.TRAIN.MAX_SIZE,
        rounding=cfg.INPUT.RESIZE_ROUNDING,
    )


def testing_sizes(cfg: CfgNode) -> NetworkSizes:
    """Return the sizes in testing, by ``TEST.SCALE``."""
    return NetworkSizes(
        given=(cfg.TEST.SCALE,),
        key="TEST.SCALE",
        max_size=cfg.TEST.MAX_SIZE,
        rounding=cfg.INPUT.RESIZE_ROUNDING,
    )
