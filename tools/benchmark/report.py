"""Results of a benchmark as a table to read and as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pet.utils.files import atomic_path
from tools.benchmark.measure import Spread, ratios


@dataclass(frozen=True)
class Row:
    """One side of a benchmark."""

    side: str
    seconds: Spread  # for one ``unit``
    faster: Mapping[str, Spread]  # than which side, and how many times
    memory: int | None = None  # bytes at the peak, or None where it was not measured


@dataclass(frozen=True, kw_only=True)
class Report:
    """A whole benchmark."""

    title: str
    unit: str  # what the seconds are for, such as "image"
    rounds: int
    environment: str
    command: str
    agreement: Sequence[str]  # how far the sides agree, a line each
    rows: Sequence[Row]


def make_rows(
    seconds: Mapping[str, Sequence[float]],
    units: int,
    references: Sequence[str],
    memory: Mapping[str, int],
) -> list[Row]:
    """Return a row for each side of ``seconds``, measured for ``units`` units at once.

    ``references`` are the sides that the others are compared with.
    """
    return [
        Row(
            side,
            Spread.of([value / units for value in values]),
            {
                reference: ratios(seconds[reference], values)
                for reference in references
                if reference != side
            },
            memory.get(side),
        )
        for side, values in seconds.items()
    ]


def format_report(report: Report) -> Iterator[str]:
    """Yield the lines of ``report`` in Markdown."""
    references = list(dict.fromkeys(name for row in report.rows for name in row.faster))
    yield from (f"# {report.title}", "", f"`{report.command}`", "")
    yield from (f"- {line}" for line in report.environment.splitlines())
    yield from (f"- {line}" for line in report.agreement)
    yield f"- {report.rounds} rounds; median, and in brackets the quartiles"
    yield ""
    head = ["side", f"s / {report.unit}", *(f"times as fast as {name}" for name in references)]
    yield _line([*head, "peak memory, MB"])
    yield _line(["---"] * (len(head) + 1))
    for row in report.rows:
        faster = [_spread(row.faster[r], 2) if r in row.faster else "" for r in references]
        memory = "" if row.memory is None else f"{row.memory / 1e6:.0f}"
        yield _line([row.side, _spread(row.seconds, 4), *faster, memory])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(value: Spread, digits: int) -> str:
    return f"{value.median:.{digits}f} ({value.low:.{digits}f} – {value.high:.{digits}f})"


def write_report(report: Report, path: str | Path) -> None:
    """Write ``report`` as JSON."""
    content: dict[str, Any] = asdict(report)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
