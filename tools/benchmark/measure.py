"""Timing several sides that do the same work, in turns, so that disturbances affect all alike.

In a round every side does one unit of work. The preparation before a side's turn is not timed:
loader workers start and reach their usual speed. They end with the turn, so that none loads data,
or uses the CPU, while another side is timed.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

#: The unit of work of a turn.
Turn = Callable[[], object]

#: Prepares a side for a turn.
Work = Callable[[], Turn]


@dataclass(frozen=True)
class Spread:
    """The median of several values, and the two quartiles."""

    low: float
    median: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        """Return the quartiles of ``values``, at least one."""
        low, median, high = np.quantile(np.asarray(values, float), (0.25, 0.5, 0.75))
        return Spread(float(low), float(median), float(high))


def measure(
    sides: Mapping[str, Work], rounds: int, device: torch.device, warm_up: int = 1
) -> dict[str, list[float]]:
    """Return the seconds that each of ``sides`` took in each of ``rounds``.

    They follow ``warm_up`` rounds that do not count. Every round starts with another side. On a
    CUDA device the time is that between two events, including all work that was started.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for index in range(-warm_up, rounds):
        for name in _turned(list(sides), index):
            taken = _time_on(device, sides[name]())
            if index >= 0:
                seconds[name].append(taken)
    return seconds


def _turned(names: list[str], by: int) -> Iterator[str]:
    place = by % len(names)
    yield from names[place:] + names[:place]


def _time_on(device: torch.device, turn: Turn) -> float:
    if device.type != "cuda":
        start = time.perf_counter()
        turn()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize(device)
    begin.record()
    turn()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000


def ratios(reference: Sequence[float], seconds: Sequence[float]) -> Spread:
    """Return how many times as fast as ``reference`` a side is, from the ratio of each round."""
    return Spread.of([ref / own for ref, own in zip(reference, seconds, strict=True)])
