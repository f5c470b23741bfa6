"""What a key of the config may hold: bounds and choices, in words and as a check."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class Rule(ABC):
    """What one value may be."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The rule as one says it: ``at least 1``, ``in [0, 1]``, ``one of RGB, BGR``."""

    @abstractmethod
    def fault(self, value: Any) -> str:
        """Return "" where ``value`` is fine, and else what an error says of its key.

        Such as ``must be at least 1``; the name of the key goes before that.
        """


@dataclass(frozen=True)
class Interval(Rule):
    """A number between two ends, each of which belongs to it or not; None where there is none."""

    low: float
    high: float | None
    takes_low: bool = True
    takes_high: bool = True

    @property
    def words(self) -> str:
        """See ``Rule``."""
        if self.high is not None:
            opens, closes = "[" if self.takes_low else "(", "]" if self.takes_high else ")"
            return f"in {opens}{self.low}, {self.high}{closes}"
        if self.takes_low:
            return f"at least {self.low}"
        return f"more than {self.low}" if self.low else "positive"

    def fault(self, value: Any) -> str:
        """See ``Rule``."""
        is_in = value >= self.low if self.takes_low else value > self.low
        if self.high is not None:
            is_in = is_in and (value <= self.high if self.takes_high else value < self.high)
        verb = "must be" if self.high is None else "must lie"
        return "" if is_in else f"{verb} {self.words}"


@dataclass(frozen=True)
class Choice(Rule):
    """One of a few texts, or of a few numbers."""

    choices: tuple[Any, ...]

    @property
    def words(self) -> str:
        """See ``Rule``."""
        names = [str(choice) for choice in self.choices]
        is_text = isinstance(self.choices[0], str)
        return f"one of {', '.join(names)}" if is_text else " or ".join(names)

    def fault(self, value: Any) -> str:
        """See ``Rule``."""
        return "" if value in self.choices else f"must be {self.words}"


@dataclass(frozen=True)
class Either(Rule):
    """One value that stands for something else, such as -1, or what another rule takes."""

    value: Any
    other: Rule

    @property
    def words(self) -> str:
        """See ``Rule``."""
        return f"{self.value} or {self.other.words}"

    def fault(self, value: Any) -> str:
        """See ``Rule``."""
        is_fine = value == self.value or not self.other.fault(value)
        return "" if is_fine else f"must be {self.words}"


@dataclass(frozen=True)
class Members(Rule):
    """A tuple: how many members it has, what each of them is, and whether they rise."""

    of: Rule | None
    least: int = 0
    most: int | None = None
    rising: bool = False

    @property
    def words(self) -> str:
        """See ``Rule``."""
        each = [f"each {self.of.words}"] if self.of else []
        return ", ".join([self._number, *each, *(["rising"] if self.rising else [])])

    @property
    def _number(self) -> str:
        if self.least == self.most:
            return f"{self.least} values"
        return f"{self.least} or more values" if self.least else "any number of values"

    def fault(self, value: Sequence[Any]) -> str:
        """See ``Rule``."""
        if len(value) < self.least or (self.most is not None and len(value) > self.most):
            return f"needs {self._number}"
        for member in value:
            if self.of and (fault := self.of.fault(member)):
                return fault
        is_fine = not self.rising or list(value) == sorted(set(value))
        return "" if is_fine else "must rise"


def at_least(low: float) -> Rule:
    """Take numbers from ``low`` on."""
    return Interval(low, None)


def more_than(low: float) -> Rule:
    """Take numbers above ``low``."""
    return Interval(low, None, takes_low=False)


def within(low: float, high: float, ends: str = "[]") -> Rule:
    """Take numbers from ``low`` to ``high``; of ``ends``, "(" and ")" leave out that end itself."""
    assert ends in ("[]", "(]", "[)", "()"), ends
    return Interval(low, high, takes_low=ends[0] == "[", takes_high=ends[1] == "]")


def one_of(*choices: str | int) -> Rule:
    """Take these values and no others."""
    return Choice(choices)


def either(value: Any, other: Rule) -> Rule:
    """Take ``value``, which stands for something else, and what ``other`` takes."""
    return Either(value, other)


def tuple_of(
    of: Rule | None = None, *, length: int | None = None, empty: bool = True, rising: bool = False
) -> Rule:
    """Take tuples whose members all keep the rule ``of``.

    ``length`` is how many there are, None for any number, and none at all only where ``empty``;
    ``rising`` members are each more than the one before.
    """
    least = length or (0 if empty else 1)
    return Members(of, least, most=length, rising=rising)
