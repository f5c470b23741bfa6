"""Results of a benchmark as a table to read and as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pet.utils.files import atomic_path
from tools.benchmark.measure import Spread, ratios


@dataclass(frozen=True)
class OnDevice:
    """How a side makes use of a CUDA device."""

    waits: float  # how often the CPU waits for the device, for one ``unit``
    busy: float | None  # share of the time in which a kernel runs, or None where it is not known


@dataclass(frozen=True)
class Row:
    """One side of a benchmark."""

    side: str
    seconds: Spread  # for one ``unit``
    faster: Mapping[str, Spread]  # than which side, and how many times
    memory: int | None = None  # bytes at the peak, or None where it was not measured
    on_device: OnDevice | None = None  # None on a CPU


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
    images: int = 1  # of a ``unit``
    unlike: Sequence[str] = ()  # why the sides should not have been compared


def make_rows(
    seconds: Mapping[str, Sequence[float]],
    units: int,
    references: Sequence[str],
    memory: Mapping[str, int],
    on_device: Mapping[str, OnDevice] | None = None,
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
            (on_device or {}).get(side),
        )
        for side, values in seconds.items()
    ]


def format_report(report: Report) -> Iterator[str]:
    """Yield the lines of ``report`` in Markdown."""
    references = list(dict.fromkeys(name for row in report.rows for name in row.faster))
    yield from (f"# {report.title}", "", f"`{report.command}`", "")
    yield from (f"- {line}" for line in report.environment.splitlines())
    yield from (f"- {line}" for line in report.agreement)
    yield from (f"- NOT ALIKE: {line}" for line in report.unlike)
    yield f"- {report.rounds} rounds; median, and in brackets the quartiles"
    on_device = any(row.on_device for row in report.rows)
    if on_device:
        yield (
            "- waits: how often the CPU waits for the device; busy: the share of the time in which "
            "a kernel runs, by torch.profiler in one more round"
        )
    yield ""
    head = ["side", f"s / {report.unit}", "images / s"]
    head += [f"times as fast as {name}" for name in references]
    head += [f"waits / {report.unit}", "busy"] if on_device else []
    head.append("peak memory, MB")
    yield _line(head)
    yield _line(["---"] * len(head))
    for row in report.rows:
        cells = [row.side, _spread(row.seconds, 4), f"{report.images / row.seconds.median:.2f}"]
        cells += [_spread(row.faster[r], 2) if r in row.faster else "" for r in references]
        cells += _use(row.on_device) if on_device else []
        yield _line([*cells, "" if row.memory is None else f"{row.memory / 1e6:.0f}"])


def _use(on_device: OnDevice | None) -> list[str]:
    """Return the cells of waits and of the busy share."""
    if on_device is None:
        return ["", ""]
    busy = "" if on_device.busy is None else f"{on_device.busy:.0%}"
    return [f"{on_device.waits:.1f}", busy]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(value: Spread, digits: int) -> str:
    return f"{value.median:.{digits}f} ({value.low:.{digits}f} – {value.high:.{digits}f})"


def write_report(report: Report, path: str | Path) -> None:
    """Write ``report`` as Markdown where ``path`` ends in .md, and else as JSON."""
    if Path(path).suffix == ".md":
        with atomic_path(path) as temporary:
            temporary.write_text("\n".join(format_report(report)) + "\n", encoding="utf-8")
        return
    content: dict[str, Any] = asdict(report)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
