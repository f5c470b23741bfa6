"""How the keys of the config are written down: each with its default and its rule."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

from yacs.config import CfgNode

from .rules import Rule


@dataclass(frozen=True)
class Key:
    """A key of the config: its default, and which other values it takes."""

    default: Any
    rule: Rule | None = None
    _: KW_ONLY
    says: str = ""  # what an error says behind the key, in place of the rule's own words
    only_with: str = ""  # the key without which this one is not used, and not looked at

    @property
    def words(self) -> str:
        """The rule in words, "" where there is none."""
        if self.rule is None:
            return ""
        return self.rule.words + (f", with {self.only_with}" if self.only_with else "")

    def fault(self, value: Any) -> str:
        """Return "" where the rule takes ``value``, and else what an error says behind the key."""
        fault = self.rule.fault(value) if self.rule else ""
        return fault and (self.says or fault)


class Section:
    """A section of the config, filled as ``section.KEY = default`` or ``section.KEY = Key(...)``.

    What is read from it are the sections inside. The config itself, of plain values, is made with
    ``defaults``.
    """

    def __init__(self, new_allowed: bool = False) -> None:
        """``new_allowed`` whether users name the keys."""
        self._entries: dict[str, Key | Section]
        self._new_allowed: bool
        vars(self).update(_entries={}, _new_allowed=new_allowed)

    def __setattr__(self, name: str, value: Any) -> None:
        assert not isinstance(value, CfgNode), f"{name}: write Section() for a section"
        assert name not in self._entries, f"{name} is there twice"
        self._entries[name] = value if isinstance(value, Key | Section) else Key(value)

    def __getattr__(self, name: str) -> "Section":
        found = vars(self).get("_entries", {}).get(name)
        if not isinstance(found, Section):
            raise AttributeError(f"no section {name} to put keys into")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def defaults(self) -> CfgNode:
        """Return the config: a new node in which every key has its default."""
        node = CfgNode(new_allowed=self._new_allowed)
        for name, entry in self._entries.items():
            node[name] = entry.defaults() if isinstance(entry, Section) else _copied(entry.default)
        return node

    def keys(self, above: str = "") -> Iterator[tuple[str, Key]]:
        """Yield the full name of each key, which begins with ``above``, and the key."""
        for name, entry in self._entries.items():
            if isinstance(entry, Section):
                yield from entry.keys(f"{above}{name}.")
            else:
                yield f"{above}{name}", entry


def _copied(value: Any) -> Any:
    """Return a tuple of its own: equal constants are one, for which YAML has an alias."""
    return tuple([_copied(item) for item in value]) if isinstance(value, tuple) else value
