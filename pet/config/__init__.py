"""The global config: ``cfg``, and how files and command lines are merged into it.

``cfg`` is one mutable yacs node for the whole process; entry points default to it. A second config
in the same process is made with ``default_cfg()`` and passed explicitly.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from .check import check_cfg
from .data_folder import use_data_folder
from .describe import KeyDescription, describe_key
from .errors import UnknownNameError
from .home import expand_home, expand_paths
from .keys import default_cfg
from .merge import merge_from_file, merge_from_list

cfg = default_cfg()


def merge_cfg_from_file(path: str | Path, node: CfgNode = cfg) -> None:
    """Merge the YAML file at ``path`` into ``node``, by default the global config.

    Raises FileNotFoundError, KeyError, TypeError or ValueError, naming the key and a remedy.
    """
    merge_from_file(node, path)


def merge_cfg_from_list(opts: Sequence[Any], node: CfgNode = cfg) -> None:
    """Merge ``[KEY, value, "KEY=VALUE", ...]`` into ``node``, by default the global config.

    Raises as above.
    """
    merge_from_list(node, opts)


def freeze(node: CfgNode = cfg) -> None:
    """Check that the keys of ``node`` agree with each other, then make it immutable.

    A ``~`` at the start of a path becomes the home folder, and ``DATA`` sets the data sets. Raises
    ValueError naming the contradicting keys.
    """
    expand_paths(node)
    use_data_folder(node)
    check_cfg(node)
    node.freeze()


def reset_cfg(node: CfgNode = cfg) -> None:
    """Set every key of ``node`` back to its default, and make it mutable again."""
    node.defrost()
    node.clear()
    node.update(default_cfg())


__all__ = [
    "CfgNode",
    "KeyDescription",
    "UnknownNameError",
    "cfg",
    "check_cfg",
    "default_cfg",
    "describe_key",
    "expand_home",
    "freeze",
    "merge_cfg_from_file",
    "merge_cfg_from_list",
    "reset_cfg",
]
