"""Plots of losses, scores, learning rate and times of training runs, from their metrics.jsonl."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pet.utils.files import atomic_path

Entries = Sequence[Mapping[str, Any]]  # the lines of one metrics.jsonl, each with "iter"

_COLUMNS = 3
_PANEL = (4.2, 2.9)  # inches


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics.jsonl in ascending order of iteration, one for each.

    The lines of an iteration, such as that of its losses and that of its scores, are joined; if a
    figure appears twice, as after a resume, the later one counts. A truncated last line is ignored.
    Raises FileNotFoundError, and ValueError for another line that is not JSON or has no "iter".
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no metrics file {path}; training writes one into CKPT")
    lines = path.read_text(encoding="utf-8").splitlines()
    rows: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            iteration = int(row["iter"])
            rows[iteration] = rows.get(iteration, {}) | row
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise ValueError(
                f'line {number} of {path} is not a JSON object with "iter": {line[:60]!r}'
            ) from error
    return [rows[iteration] for iteration in sorted(rows)]


def plot_curves(runs: Mapping[str, Entries], path: str | Path) -> None:
    """Plot the figures of the runs in panels of a PNG, with one line per run.

    ``runs`` maps names of runs to their entries. The panels are total_loss, the other losses, the
    AP of each kind of result on each data set scored on (the AR1000 of proposals), lr, the times,
    then all others. Raises ValueError if there is nothing to plot.
    """
    panels = _panels(runs)
    if not panels:
        raise ValueError(f"there are no figures to draw in {', '.join(runs) or 'no runs'}")
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(panels, 1):
        axes = figure.add_subplot(rows, columns, place)
        for run, lines in runs.items():
            points = [(row["iter"], row[name]) for row in lines if _is_number(row.get(name))]
            axes.plot(
                [iteration for iteration, _ in points],
                [value for _, value in points],
                label=run,
                linewidth=1.2,
                marker="." if len(points) == 1 or _is_score(name) else None,
            )
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("iteration", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        if len(runs) > 1 and place == 1:
            axes.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _panels(runs: Mapping[str, Entries]) -> list[str]:
    """Return the names of the figures, in the order of their panels."""
    names = {
        name
        for rows in runs.values()
        for row in rows
        for name, value in row.items()
        if name != "iter" and _is_number(value) and (not _is_score(name) or _is_main_score(name))
    }

    def rank(name: str) -> tuple[int, str]:
        order = ("total_loss", "loss", "score", "lr", "iter_time", "data_time")
        kind = "score" if _is_score(name) else "loss" if name.startswith("loss") else name
        return (order.index(kind) if kind in order else len(order), name)

    return sorted(names, key=rank)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_score(name: str) -> bool:
    """Whether ``name`` is that of a figure of a scoring, val/DATASET/KIND/FIGURE."""
    return name.startswith("val/")


def _is_main_score(name: str) -> bool:
    """Whether a figure of a scoring has a panel: of the twelve of each kind, only the usual one."""
    return name.rpartition("/")[2] in ("AP", "AR1000")
