"""All keys of the config, with their defaults and rules."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

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


#: Full name -> key, except those of a DATASETS block, which are in DATASET_KEYS.
KEYS: Mapping[str, Key] = MappingProxyType(dict(_all_keys().keys()))
#: Name -> key, of a DATASETS block.
DATASET_KEYS: Mapping[str, Key] = MappingProxyType(dict(DATASET_TEMPLATE.keys()))


def value_of(cfg: CfgNode, name: str) -> Any:
    """Return the value, or the section, of the full name ``name`` in ``cfg``."""
    value = cfg
    for part in name.split("."):
        value = value[part]
    return value
