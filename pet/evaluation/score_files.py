"""Text files of scores: the record of a test, and a line for each scoring of a training run."""

from collections.abc import Mapping
from pathlib import Path

from pet.evaluation.coco import (
    FIGURES,
    KEYPOINT_FIGURES,
    CocoMetrics,
    display_width,
    write_metrics,
)
from pet.evaluation.oks import KeypointMetrics
from pet.evaluation.proposals import PROPOSAL_FIGURES, ProposalMetrics
from pet.utils.files import atomic_path

Metrics = CocoMetrics | KeypointMetrics | ProposalMetrics

#: Kind of result -> its figures, in COCO's order.
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
}
_METRICS, _RECORD = "metrics.json", "record_{}.txt"
_START = "iter:"


def figures_of(kind: str, metrics: Metrics) -> dict[str, float]:
    """Return the figures of a ``kind`` of result by name, in COCO's order."""
    return {name: getattr(metrics, name) for name in FIGURES_OF[kind]}


def write_scores(folder: Path, scores: Mapping[str, Metrics]) -> None:
    """Write ``metrics.json``, and ``record_{kind}.txt`` for each kind of result."""
    write_metrics(folder / _METRICS, scores)
    for kind, metrics in scores.items():
        with atomic_path(folder / _RECORD.format(kind)) as temporary:
            temporary.write_text(format_record(metrics), encoding="utf-8")


def remove_scores(folder: Path) -> None:
    """Remove what ``write_scores`` has written into ``folder``, if anything."""
    for name in (_METRICS, *map(_RECORD.format, FIGURES_OF)):
        (folder / name).unlink(missing_ok=True)


def format_record(metrics: Metrics) -> str:
    """Return the figures as COCO prints them, and AP and AP50 of each class, if there are any."""
    if isinstance(metrics, ProposalMetrics):
        return f"COCO results:\n{metrics.summary}\n"
    longest = max(map(display_width, metrics.per_class), default=0)
    lines = ["COCO results:", metrics.summary, "", "AP and AP50 of each class:"]
    for name, score in metrics.per_class.items():
        space = " " * (longest - display_width(name))
        pair = "  ".join(_format(each) for each in (score, metrics.per_class_50[name]))
        lines.append(f" {name}{space}: {pair}")
    return "\n".join(lines) + "\n"


def _format(score: float | None) -> str:
    return "     -" if score is None else f"{score:.4f}"


def line_file(folder: Path, kind: str, dataset: str = "") -> Path:
    """Return the file of the lines of a ``kind`` of result; ``dataset`` if there are several."""
    return folder / f"{_LINE_FILES[kind]}{f'_{dataset}' if dataset else ''}.txt"


def format_line(iteration: int, kind: str, metrics: Metrics, loss: float, lr: float) -> str:
    """Return the line of a scoring: its figures, the mean training loss and the learning rate."""
    values = [f"{value:.4f}" for value in (*figures_of(kind, metrics).values(), loss)]
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
