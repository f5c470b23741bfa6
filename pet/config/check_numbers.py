"""Checks for numbers that no key takes."""

import math
from collections.abc import Iterator
from typing import Any

from yacs.config import CfgNode


def check_numbers(node: CfgNode, above: str = "") -> None:
    """Raise ValueError, naming the key, for a NaN, an infinity, or an integer beyond 64 bits.

    ``above`` is the key of the section ``node``, followed by a full stop.
    """
    for key, value in node.items():
        if isinstance(value, CfgNode):
            check_numbers(value, f"{above}{key}.")
        for number in _numbers(value):
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"{above}{key} must be finite; got {value}")
            if isinstance(number, int) and not -(2**63) <= number < 2**63:
                raise ValueError(
                    f"{above}{key} must lie between -2**63 and 2**63 - 1; got a whole number of "
                    f"{number.bit_length()} bits"
                )


def _numbers(value: Any) -> Iterator[int | float]:
    """Yield the numbers in a value: itself, or those of a tuple, also of nested ones."""
    if isinstance(value, tuple | list):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float):
        yield value
