"""Formatting of the training log."""

from collections.abc import Mapping
from datetime import timedelta

_INDENT = " " * 10


def format_duration(seconds: float) -> str:
    """Return ``seconds`` as h:mm:ss, after the number of days if there are any."""
    return str(timedelta(seconds=int(max(seconds, 0.0))))


def format_stats(
    head: str,
    times: Mapping[str, tuple[float, float]],
    losses: Mapping[str, tuple[float, float]],
    metrics: Mapping[str, tuple[float, float]],
) -> str:
    """Return the lines of one log entry: ``head``, total loss and times, losses, metrics.

    Every value is a pair (median of the last iterations, average of the run). Times are in
    seconds. The losses are in the order of the model, the same in every entry.
    """
    total, others = losses["total_loss"], {k: v for k, v in losses.items() if k != "total_loss"}
    rows = [
        [f"total_loss: {_pair(total, 6)}", *(f"{k}: {_pair(v, 4)}" for k, v in times.items())],
        [f"{name}: {_pair(value, 6)}" for name, value in others.items()],
        [f"{name}: {_pair(value, 6)}" for name, value in metrics.items()],
    ]
    return "\n".join([head, *(_INDENT + ", ".join(row) for row in rows if row)])


def _pair(value: tuple[float, float], digits: int) -> str:
    return f"{value[0]:.{digits}f} ({value[1]:.{digits}f})"
