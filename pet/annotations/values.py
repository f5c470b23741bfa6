"""Parsing single values and lists of values of an annotation file.

Values in another form than COCO's that can be read safely (a number as text, an id as 1.0) are read
and counted.
"""

import math
import re
import reprlib
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,25}(\.0*)?\s*")
_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_FLAGS = {"0": False, "1": True, "false": False, "true": True, "0.0": False, "1.0": True, "": False}
_LARGEST = 2**63 - 1
#: Number of items that a message lists before "and N more".
SHOWN = 5
_SHOWN_LETTERS = 60
_REPR = reprlib.Repr()  # repr() fails on deep lists and prints all of long ones
_REPR.maxlist = _REPR.maxdict = 10
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _SHOWN_LETTERS

#: Kind of values that were read although not in COCO's form -> their number.
Otherwise = Counter[str]

TEXT_NUMBERS = "numbers written as text"
WHOLE_FLOATS = "whole numbers written with a decimal point"
TEXT_FLAGS = "iscrowd written as text"


def whole_number(value: Any, otherwise: Otherwise) -> int | None:
    """Return ``value`` as a whole number of 64 bits, or None if it is none."""
    found: int | None = None
    if type(value) is int:
        found = value
    elif isinstance(value, float) and value.is_integer():
        otherwise[WHOLE_FLOATS] += 1
        found = int(value)
    elif isinstance(value, str) and _WHOLE.fullmatch(value):
        otherwise[TEXT_NUMBERS] += 1
        found = int(value.strip().partition(".")[0])
    return found if found is not None and abs(found) <= _LARGEST else None


def number(value: Any, otherwise: Otherwise) -> float:
    """Return ``value`` as a finite number, or NaN if it is none."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        otherwise[TEXT_NUMBERS] += 1
        found = float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            return math.nan
    else:
        return math.nan
    return found if math.isfinite(found) else math.nan


def flag(value: Any, otherwise: Otherwise) -> bool | None:
    """Return ``value`` as a bool, or None if it is invalid; a missing value (None) is False."""
    if isinstance(value, str):
        found = _FLAGS.get(value.strip().lower())
        otherwise[TEXT_FLAGS] += found is not None
        return found
    if value is None:
        return False
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def short(value: Any) -> str:
    """Return ``value`` as short text for a message."""
    text = _REPR.repr(value)
    return text if len(text) <= _SHOWN_LETTERS else f"{text[: _SHOWN_LETTERS - 3]}..."


def shorten(items: Sequence[object], count: int | None = None) -> str:
    """Return the first ``SHOWN`` of ``items`` and the number of the others, as text.

    ``count`` is the number of all items, if ``items`` has only some of them (at least ``SHOWN``).
    """
    count = len(items) if count is None else count
    more = f" and {count - SHOWN} more" if count > SHOWN else ""
    return ", ".join(str(item) for item in items[:SHOWN]) + more


def whole_numbers(values: Sequence[Any], otherwise: Otherwise) -> tuple[np.ndarray, list[int]]:
    """Return ``values`` as (n,) int64, and the indices of those that are no whole numbers."""
    if set(map(type, values)) <= {int}:
        try:
            plain = np.array(values, np.int64)
        except OverflowError:
            plain = np.array([-_LARGEST - 1])
        if plain.min(initial=0) >= -_LARGEST:
            return plain, []
    found = [whole_number(value, otherwise) for value in values]
    wrong = [place for place, value in enumerate(found) if value is None]
    return np.array([value or 0 for value in found], np.int64), wrong


def numbers(values: Sequence[Any], otherwise: Otherwise) -> np.ndarray:
    """Return ``values`` as (n,) float64: finite numbers, and NaN for other values."""
    if set(map(type, values)) <= {int, float}:
        try:
            found = np.array(values, np.float64)
        except OverflowError:  # a whole number of more than 308 digits
            pass
        else:
            found[np.isinf(found)] = np.nan
            return found
    return np.array([number(value, otherwise) for value in values], np.float64)


def rows_of_numbers(
    rows: Sequence[Sequence[Any]], otherwise: Otherwise
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of all ``rows`` in one array, by ``numbers``, and each row's length."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return numbers(list(chain.from_iterable(rows)), otherwise), lengths
