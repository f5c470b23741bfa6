"""Converting values from a YAML file or the command line to the type of their key."""

import ast
import re
from collections.abc import Sequence
from typing import Any

from .yaml_file import Written

#: The errors of reading a text that is not a Python literal.
_NO_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)
_QUOTED = r"""u?(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
#: A text in quotes, or the characters up to the next comma.
_PART = re.compile(rf"\s*(?:({_QUOTED})\s*|([^,]*))(?:,|$)")
#: The most characters of a wrong value in a message.
_MOST_SHOWN = 200


def coerce(value: Any, default: Any, key: str, source: str) -> Any:
    """Return ``value`` as the type of ``default``; a text is kept as written, even a number.

    Raises TypeError, naming key, source, value and type, if it cannot be converted, and ValueError
    for an integer that is too large for a float.
    """
    if isinstance(default, tuple):
        return _coerce_tuple(value, default, key, source)
    found = _text(value) if isinstance(default, str) else _decode(value)
    if isinstance(default, bool) or isinstance(found, bool):
        spelled = str(found).lower() if isinstance(found, str | bool) else ""
        if isinstance(default, bool) and spelled in ("true", "false"):
            return spelled == "true"
    elif isinstance(default, float) and isinstance(found, int):
        return _float(found, key, source)
    elif isinstance(found, type(default)):
        return found
    raise TypeError(
        f"{key} in {source} must be {_kind(default)}, as in its default {default!r}; "
        f"got {_shown(found)}"
        + ('; write "" for none, and a text that looks so in quotes' if found is None else "")
    )


def _text(value: Any) -> Any:
    """Return ``value`` as it was written; YAML's null, ~ or null, is not a text."""
    if isinstance(value, Written):
        return None if value.value is None else value.text
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _decode(value: Any) -> Any:
    """Return the Python literal that a text spells, or the text."""
    value = _read_by_yaml(value)
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except _NO_LITERAL:
        return value


def _read_by_yaml(value: Any) -> Any:
    if isinstance(value, list):
        return [_read_by_yaml(item) for item in value]
    return value.value if isinstance(value, Written) else value


def _float(value: int, key: str, source: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(
            f"{key} in {source} must be finite; got a whole number of {value.bit_length()} bits"
        ) from None


def _coerce_tuple(value: Any, default: tuple[Any, ...], key: str, source: str) -> tuple[Any, ...]:
    # Only the tuples of data set names are empty by default.
    model = default[0] if default else ""
    if isinstance(value, Written) and isinstance(model, str):
        value = _text(value)
    if isinstance(value, str):
        value = _listed_texts(value) if isinstance(model, str) else _listed(value)
    elif not isinstance(value, list | tuple):
        value = (value,)
    return tuple(coerce(item, model, key, source) for item in value)


def _listed(typed: str) -> Sequence[Any]:
    """Return the members of a list as typed: ``(1, 2)``, ``1, 2`` or a single ``1``."""
    found = _decode(typed)
    if isinstance(found, str):
        return _parts(found)
    return found if isinstance(found, list | tuple) else (found,)


def _listed_texts(typed: str) -> list[str]:
    """Return the texts of a list as typed, with or without quotes: ``(a, 2026_01)``, ``"a", "b"``.

    Numbers are texts too.
    """
    if re.fullmatch(_QUOTED, typed.strip()):
        typed = str(_decode(typed.strip()))
    typed = _without_brackets(typed)
    found = []
    for quoted, bare in _PART.findall(typed):
        if quoted:
            found.append(str(_decode(quoted)))
        elif bare.strip():
            found.append(bare.strip())
    return found


def _parts(typed: str) -> list[str]:
    return [part.strip() for part in _without_brackets(typed).split(",") if part.strip()]


def _without_brackets(typed: str) -> str:
    # A shell removes the quotes of ("a", "b") and keeps the brackets.
    return typed.strip("()[] ")


def _kind(default: Any) -> str:
    names = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}
    return names.get(type(default), f"a {type(default).__name__}")


def _shown(value: Any) -> str:
    try:
        text = repr(_read_by_yaml(value))
    except ValueError:  # Python does not print thousands of digits
        return "a number that is too long to show"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
