"""A small picture, and a config of small views of it."""

import numpy as np

from pet.config import CfgNode, freeze

SIZE = (40, 60)  # height and width of the picture


def picture(seed: int = 0) -> np.ndarray:
    """Return a picture of noise."""
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


def in_views(cfg: CfgNode, **keys: object) -> CfgNode:
    """Set ``cfg`` to test small views on the CPU, freeze it, and return it.

    BBOX__H_FLIP=True sets TEST.BBOX_AUG.H_FLIP.
    """
    cfg.DEVICE = "cpu"
    cfg.TEST.SCALE, cfg.TEST.MAX_SIZE = 64, 128
    cfg.FAST_RCNN.SCORE_THRESH = 0.0
    for key, value in keys.items():
        kind, name = key.split("__")
        cfg.TEST[f"{kind}_AUG"][name] = value
    freeze(cfg)
    return cfg
