"""The mean of the training loss between two scorings."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pet.utils import comm


class MeanLoss:
    """The mean of the training loss over steps and processes."""

    def __init__(self) -> None:
        self._sum: Tensor | float = 0.0  # on its device, so that no step waits for it
        self._count = 0

    def add(self, loss: Tensor) -> None:
        """Add the ``loss`` of a step, a scalar."""
        self._sum = self._sum + loss.detach().double()
        self._count += 1

    def join(self) -> None:
        """Let all processes have the mean of their sums."""
        if isinstance(self._sum, Tensor):
            self._sum = comm.reduce_mean(self._sum)

    @property
    def mean(self) -> float:
        """The mean, NaN without a step; join before."""
        return float(self._sum) / self._count if self._count else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """Return sum and count; join before."""
        return {"sum": float(self._sum), "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a ``state_dict``."""
        self._sum, self._count = float(state["sum"]), int(state["count"])
