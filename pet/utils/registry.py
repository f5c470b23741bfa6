"""The registry: parts that a config chooses by name."""

import difflib
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from pet.config import UnknownNameError

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """A mapping from names to parts, for one config key."""

    def __init__(self, what: str, key: str) -> None:
        """``what``: the noun for a part in errors ("backbone"); ``key``: the config key."""
        self._what, self._key = what, key
        self._parts: dict[str, Part] = {}
        self._families: dict[str, Part] = {}

    def register(self, name: str) -> Callable[[Part], Part]:
        """Return a decorator that registers a part as ``name``; KeyError if the name is taken."""

        def file_part(part: Part) -> Part:
            if name in self._parts:
                raise UnknownNameError(
                    f"there is already a {self._what} named {name!r} ({self._key})"
                )
            self._parts[name] = part
            return part

        return file_part

    def register_family(self, prefix: str) -> Callable[[Part], Part]:
        """Return a decorator that registers a part for all names that begin with ``prefix``.

        It raises KeyError if the prefix is taken.
        """

        def file_part(part: Part) -> Part:
            if prefix in self._families:
                raise UnknownNameError(
                    f"there is already a {self._what} for names that begin with {prefix!r} "
                    f"({self._key})"
                )
            self._families[prefix] = part
            return part

        return file_part

    def __getitem__(self, name: str) -> Part:
        """Return the part; raises KeyError, which names the config key and the known names."""
        if name in self._parts:
            return self._parts[name]
        for prefix, part in self._families.items():
            if str(name).startswith(prefix):
                return part
        near = difflib.get_close_matches(str(name), self._parts, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownNameError(
            f"no {self._what} named {name!r} ({self._key}); {hint}choose from "
            f"{', '.join(self._choices()) or 'none registered'}"
        )

    def __contains__(self, name: object) -> bool:
        return name in self._parts or str(name).startswith(tuple(self._families))

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def _choices(self) -> list[str]:
        return [*sorted(self._parts), *(f"{prefix}<name>" for prefix in self._families)]
