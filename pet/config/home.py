"""Expanding ``~`` and ``~USER`` in the paths that a user writes, as a shell does."""

import os
from collections.abc import Iterator

from yacs.config import CfgNode

#: (section, or "" for none; key) of each path outside ``DATASETS``.
_PATHS = (
    *(("", "CKPT"), ("", "DATA"), ("", "DATA_DIR")),
    *(("TRAIN", "WEIGHTS"), ("TEST", "WEIGHTS")),
)
#: The paths in a block of ``DATASETS``.
_DATASET_PATHS = ("IMAGES", "ANNOTATIONS")


def expand_home(path: str, name: str) -> str:
    """Return ``path`` with the home folder in place of a ``~`` or ``~USER`` at its start.

    ``name`` is the path's name in errors, such as its key. Raises ValueError if there is no such
    folder, or if the path has a null character, which no system allows.
    """
    if "\0" in path:
        raise ValueError(f"{name} holds a zero character, as no path does; got {path!r}")
    if not path.startswith("~"):
        return path
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        user = path[1:].partition("/")[0]
        whose = f"of a user {user!r}" if user else "of yours, as HOME is not set"
        raise ValueError(
            f"{name} {path!r}: there is no home folder {whose}; write the path in full, or "
            f"./{path} for what has that name itself"
        )
    return expanded


def expand_paths(node: CfgNode) -> None:
    """Expand every path of the config ``node`` in place; raises ValueError as above."""
    for section, key, name in _paths(node):
        if isinstance(section[key], str):
            section[key] = expand_home(section[key], name)


def _paths(node: CfgNode) -> Iterator[tuple[CfgNode, str, str]]:
    """Yield the section of each path, its key there, and its full key."""
    for name, key in _PATHS:
        yield (node[name], key, f"{name}.{key}") if name else (node, key, key)
    for name, block in node.DATASETS.items():
        for key in _DATASET_PATHS if isinstance(block, CfgNode) else ():
            yield block, key, f"DATASETS.{name}.{key}"
