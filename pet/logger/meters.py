"""Statistics of a training run: medians of the last iterations and averages of the run."""

import math
import statistics
from collections import deque

import torch
from torch import Tensor


class Meter:
    """Median of the last ``window`` values, and average of all values.

    Values that are not finite are ignored. Only the last ``window`` values are stored.
    """

    def __init__(self, window: int) -> None:
        self._recent: deque[float] = deque(maxlen=window)
        self._total, self._count = 0.0, 0

    def update(self, value: float) -> None:
        """Add a value."""
        if math.isfinite(value):
            self._recent.append(value)
            self._total += value
            self._count += 1

    def __bool__(self) -> bool:
        return self._count > 0

    @property
    def pair(self) -> tuple[float, float]:
        """Median of the last values and average of all; needs at least one value."""
        return statistics.median(self._recent), self._total / self._count


class PendingValues:
    """Scalars that stay on their device until all of them are read with one copy."""

    def __init__(self) -> None:
        self._keys: list[tuple[int, str]] = []
        self._values: list[Tensor] = []

    def add(self, iteration: int, name: str, value: Tensor) -> None:
        """Store the scalar tensor ``value`` of ``iteration`` without a device sync."""
        self._keys.append((iteration, name))
        self._values.append(value.detach())

    def stack(self) -> Tensor:
        """Return the values as float32 (count,), on their device, in the order of ``add``."""
        if not self._values:
            return torch.empty(0)
        return torch.stack([value.float().reshape(()) for value in self._values])

    def label(self, values: Tensor) -> list[tuple[int, str, float]]:
        """Return (iteration, name, value) for ``values``, which are in the order of ``stack``."""
        numbers = values.tolist()
        return [(*key, number) for key, number in zip(self._keys, numbers, strict=True)]

    def clear(self) -> None:
        """Remove all values."""
        self._keys.clear()
        self._values.clear()
