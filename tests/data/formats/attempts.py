"""Calls that must give a result or an error that names a file."""

from collections.abc import Callable
from typing import Any


def attempt(call: Callable[[], Any], named: str) -> Any:
    """Return the result of ``call``, or None for an error of the user that names ``named``."""
    message = ""
    try:
        return call()
    except (ValueError, FileNotFoundError) as error:
        message = str(error)
    assert named in message
    return None
