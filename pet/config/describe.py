"""The description of a key: its default, its rule in words, and the comment above it."""

import ast
import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import base, rcnn, retinanet, transforms
from .keys import DATASET_KEYS, KEYS, default_cfg
from .merge import split_key, unknown_key

#: The modules that define keys.
_MODULES = (base, rcnn, retinanet, transforms)
#: The variables there whose attributes are keys -> the prefix of their full names.
_BEGINNINGS = {"node": "", "DATASET_TEMPLATE": "DATASETS.<name>."}


@dataclass(frozen=True)
class KeyDescription:
    """The description of a key of the config."""

    name: str  # in full, such as "SOLVER.GAMMA"
    default: Any
    rule: str  # which values it takes, such as "at least 0"; "" if only its type counts
    comment: str  # meaning, unit and source, in one line


def describe_key(name: str) -> KeyDescription:
    """Return the description of the key ``name``, such as "SOLVER.GAMMA".

    In "DATASETS.mine.TYPE", "mine" may be any name of a data set. Raises KeyError, with the nearest
    names, if there is no such key.
    """
    place, keys = name, KEYS
    section, *between = split_key(name)
    if section == "DATASETS" and len(between) == 2:
        place, keys = between[1], DATASET_KEYS
    if place not in keys:
        root = default_cfg()
        if keys is DATASET_KEYS:
            root.DATASETS[between[0]] = base.DATASET_TEMPLATE.defaults()
        raise unknown_key(name, root)
    beginning = _BEGINNINGS["node" if keys is KEYS else "DATASET_TEMPLATE"]
    key = keys[place]
    return KeyDescription(name, key.default, key.words, _comments()[beginning + place])


@functools.cache
def _comments() -> Mapping[str, str]:
    """Return a mapping from the full name of every key to its comment."""
    found = {}
    for module in _MODULES:
        found.update(read_comments(inspect.getsource(module)))
    return found


def read_comments(source: str) -> dict[str, str]:
    """Return the comment above each key that ``source`` sets, in one line, by full name."""
    lines = source.splitlines()
    found = {}
    for statement in ast.walk(ast.parse(source)):
        if not isinstance(statement, ast.Assign):
            continue
        variable, _, name = ast.unparse(statement.targets[0]).partition(".")
        if name and variable in _BEGINNINGS:
            found[_BEGINNINGS[variable] + name] = _comment_above(lines[: statement.lineno - 1])
    return found


def _comment_above(lines: list[str]) -> str:
    """Return the comment at the end of ``lines``, in one line, or "" if there is none."""
    comment: list[str] = []
    for line in reversed(lines):
        if not line.strip().startswith("# "):
            break
        comment.insert(0, line.strip().removeprefix("# "))
    return " ".join(comment)
