"""All keys of the config: their defaults, and what else they take."""

from collections.abc import Mapping
from types import MappingProxyType

from yacs.config import CfgNode

from .base import DATASET_TEMPLATE, base_cfg
from .rcnn import add_rcnn_cfg
from .section import Key, Section


def _all_keys() -> Section:
    node = base_cfg()
    add_rcnn_cfg(node)
    return node


def default_cfg() -> CfgNode:
    """Return a fresh config with every key at its default."""
    return _all_keys().defaults()


#: Full name of each key -> the key; those of a block of DATASETS are in DATASET_KEYS.
KEYS: Mapping[str, Key] = MappingProxyType(dict(_all_keys().keys()))
#: Name of each key of a block of DATASETS -> the key.
DATASET_KEYS: Mapping[str, Key] = MappingProxyType(dict(DATASET_TEMPLATE.keys()))
