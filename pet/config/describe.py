"""What is known of a key: its default, its rule in words, and the comment above it."""

import ast
import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import base, rcnn, retinanet
from .keys import DATASET_KEYS, KEYS, default_cfg
from .merge import split_key, unknown_key

#: The modules that name keys.
_MODULES = (base, rcnn, retinanet)
#: The variables there whose attributes are keys -> what the full names of these begin with.
_BEGINNINGS = {"node": "", "DATASET_TEMPLATE": "DATASETS.<name>."}


@dataclass(frozen=True)
class KeyDescription:
    """A key of the config."""

    name: str  # in full, such as "SOLVER.GAMMA"
    default: Any
    rule: str  # which values it takes, such as "at least 0"; "" where its type is all that counts
    comment: str  # meaning, unit and source, in one line


def describe_key(name: str) -> KeyDescription:
    """Return what is known of the key ``name``, such as "SOLVER.GAMMA".

    In "DATASETS.mine.TYPE", "mine" may be any name of a data set. Raises KeyError, with the nearest
    names, where there is no such key.
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
    """Return full name -> comment of every key."""
    found = {}
    for module in _MODULES:
        found.update(read_comments(inspect.getsource(module)))
    return found


def read_comments(source: str) -> dict[str, str]:
    """Return full name -> the comment above, in one line, of each key that ``source`` sets."""
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
    """Return the comment that ``lines`` end with, in one line; "" where they end otherwise."""
    comment: list[str] = []
    for line in reversed(lines):
        if not line.strip().startswith("# "):
            break
        comment.insert(0, line.strip().removeprefix("# "))
    return " ".join(comment)
