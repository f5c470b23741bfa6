"""Text files of scores: the record of a test, and a line for each scoring of a training run."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from pet.evaluation.coco import (
    FIGURES,
    KEYPOINT_FIGURES,
    CocoMetrics,
    display_width,
    write_metrics,
)
from pet.evaluation.lvis import LvisMetrics
from pet.evaluation.oks import KeypointMetrics
from pet.evaluation.proposals import PROPOSAL_FIGURES, ProposalMetrics
from pet.evaluation.voc import VocMetrics
from pet.utils.files import atomic_path

Metrics = CocoMetrics | KeypointMetrics | ProposalMetrics | LvisMetrics | VocMetrics

#: Kind of result -> COCO's figures, in its order.
FIGURES_OF = {
    "bbox": FIGURES,
    "segm": FIGURES,
    "keypoints": KEYPOINT_FIGURES,
    "proposals": PROPOSAL_FIGURES,
}
#: Kind of result -> the name of its file of lines.
_LINE_FILES = {
    "bbox": "det_results",
    "segm": "seg_results",
    "keypoints": "kps_results",
    "proposals": "proposal_results",
    "voc": "voc_results",
}
_BENCHMARKS: Mapping[type, str] = {LvisMetrics: "LVIS", VocMetrics: "VOC"}
#: Field of the scores of each class -> its title.
_TITLES = {
    "per_class": "AP",
    "per_class_50": "AP50",
    "per_class_2007": "AP50 of 2007",
    "per_class_2010": "AP50 of 2010",
}
#: All kinds of scores of a data set: those of the kinds of result, and those of a benchmark.
KINDS = tuple(_LINE_FILES)
_METRICS, _RECORD = "metrics.json", "record_{}.txt"
_START = "iter:"


def figures_of(metrics: Metrics) -> dict[str, float]:
    """Return the figures by name, in the order of their benchmark."""
    values = {field.name: getattr(metrics, field.name) for field in fields(metrics)}
    return {name: value for name, value in values.items() if isinstance(value, float | int)}


def write_scores(folder: Path, scores: Mapping[str, Metrics]) -> None:
    """Write ``metrics.json``, and ``record_{kind}.txt`` for each kind of result."""
    write_metrics(folder / _METRICS, scores)
    for kind, metrics in scores.items():
        with atomic_path(folder / _RECORD.format(kind)) as temporary:
            temporary.write_text(format_record(metrics), encoding="utf-8")


def remove_scores(folder: Path) -> None:
    """Remove what ``write_scores`` has written into ``folder``, if anything."""
    for name in (_METRICS, *map(_RECORD.format, KINDS)):
        (folder / name).unlink(missing_ok=True)


def format_record(metrics: Metrics) -> str:
    """Return the figures as their benchmark prints them, and those of each class, if there are any.

    Those of a class are AP and AP50, VOC's two AP50, or LVIS's AP.
    """
    columns = {
        field.name: getattr(metrics, field.name)
        for field in fields(metrics)
        if isinstance(getattr(metrics, field.name), Mapping)
    }
    lines = [f"{_BENCHMARKS.get(type(metrics), 'COCO')} results:", metrics.summary]
    if columns:
        titles = " and ".join(_TITLES[name] for name in columns)
        names = next(iter(columns.values()))
        longest = max(map(display_width, names), default=0)
        lines += ["", f"{titles} of each class:"]
        for name in names:
            scores = "  ".join(_format(column[name]) for column in columns.values())
            lines.append(f" {name}{' ' * (longest - display_width(name))}: {scores}")
    return "\n".join(lines) + "\n"


def _format(score: float | None) -> str:
    return "     -" if score is None else f"{score:.4f}"


def line_file(folder: Path, kind: str, dataset: str = "") -> Path:
    """Return the file of the lines of a ``kind`` of result; ``dataset`` if there are several."""
    return folder / f"{_LINE_FILES[kind]}{f'_{dataset}' if dataset else ''}.txt"


def format_line(iteration: int, metrics: Metrics, loss: float, lr: float) -> str:
    """Return the line of a scoring: its figures, the mean training loss and the learning rate."""
    values = [f"{value:.4f}" for value in (*figures_of(metrics).values(), loss)]
    return f"{_START}{iteration} {'  '.join([*values, f'{lr:.6f}'])}\n"


def add_line(path: Path, iteration: int, line: str) -> None:
    """Add the ``line`` of ``iteration``, in place of this and later iterations, atomically."""
    _write(path, _lines_up_to(path, iteration - 1) + line)


def cut_lines(path: Path, last_iter: int) -> None:
    """Remove the lines after iteration ``last_iter``, and a file that has no other lines."""
    if path.is_file():
        _write(path, _lines_up_to(path, last_iter))


def _write(path: Path, text: str) -> None:
    if not text:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_text(encoding="utf-8") != text:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _lines_up_to(path: Path, last_iter: int) -> str:
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "".join(f"{line}\n" for line in lines if _iteration_of(line) <= last_iter)


def _iteration_of(line: str) -> int:
    """Return the iteration of a line; 0, so that it stays, of one that Pet did not write."""
    number = line.removeprefix(_START).partition(" ")[0]
    return int(number) if line.startswith(_START) and number.isdecimal() else 0
