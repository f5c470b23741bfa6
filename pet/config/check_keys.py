"""Checks of each key's value by the rule of the key."""

from typing import Any

from yacs.config import CfgNode

from .keys import DATASET_KEYS, KEYS, value_of
from .section import Key


def check_keys(cfg: CfgNode) -> None:
    """Raise ValueError, naming the key and its rule, for a value that the rule refuses."""
    for name, key in KEYS.items():
        if not key.only_with or value_of(cfg, key.only_with):
            _check(name, key, value_of(cfg, name))
    for dataset, block in cfg.DATASETS.items():
        if not isinstance(block, CfgNode):
            raise ValueError(f"DATASETS.{dataset} must be a section with IMAGES and ANNOTATIONS")
        for name, key in DATASET_KEYS.items():
            _check(f"DATASETS.{dataset}.{name}", key, block[name])


def _check(name: str, key: Key, value: Any) -> None:
    if fault := key.fault(value):
        raise ValueError(f"{name} {fault}; got {value!r}")
