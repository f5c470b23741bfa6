"""Values that their key does not take, each looked at alone."""

from typing import Any

from yacs.config import CfgNode

from .keys import DATASET_KEYS, KEYS
from .section import Key


def check_keys(cfg: CfgNode) -> None:
    """Raise ValueError, naming the key and what would do, for a value that its rule refuses."""
    for name, key in KEYS.items():
        if not key.only_with or _get(cfg, key.only_with):
            _check(name, key, _get(cfg, name))
    for dataset, block in cfg.DATASETS.items():
        if not isinstance(block, CfgNode):
            raise ValueError(f"DATASETS.{dataset} must be a section with IMAGES and ANNOTATIONS")
        for name, key in DATASET_KEYS.items():
            _check(f"DATASETS.{dataset}.{name}", key, block[name])


def _check(name: str, key: Key, value: Any) -> None:
    if fault := key.fault(value):
        raise ValueError(f"{name} {fault}; got {value!r}")


def _get(cfg: CfgNode, name: str) -> Any:
    value = cfg
    for part in name.split("."):
        value = value[part]
    return value
