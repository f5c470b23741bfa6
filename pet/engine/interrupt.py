"""Ending a training run by Ctrl-C at the end of a step, in all of its processes."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

import torch
import torch.distributed as dist

from pet.utils.comm import is_distributed
from pet.utils.sigint import can_catch_interrupts

Batch = TypeVar("Batch")

_TWICE = "interrupted twice: stopped at once, without a checkpoint; earlier ones are whole"


class Interrupt:
    """Whether Ctrl-C was pressed, and whether a run was ended by it.

    ``came`` says the former, of this process. ``ended`` says the latter, and is the same in all.
    """

    def __init__(self, device: torch.device) -> None:
        """``device`` is where the processes talk to each other."""
        self.came = self.ended = False
        self._device = device
        self._last_vote: _Vote | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal: take note of the first, raise KeyboardInterrupt at the second."""
        if self.came:
            raise KeyboardInterrupt(_TWICE)
        self.came = True

    def until(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield ``batches`` up to the end of the step in which Ctrl-C was pressed.

        Of several processes all end after the same step, the first or second after one of them
        was told.
        """
        for batch in batches:
            if self._came_to_any():
                self.ended = True
                return
            yield batch
            if self.came and not is_distributed():  # another batch may be long in coming
                self.ended = True
                return

    def _came_to_any(self) -> bool:
        if not is_distributed():
            return self.came
        # The answer is that of the step before, which is there: nobody waits for the device.
        last, self._last_vote = self._last_vote, _Vote(self.came, self._device)
        return last is not None and last.any()


class _Vote:
    """What all processes say to a question, on its way."""

    def __init__(self, yes: bool, device: torch.device) -> None:
        votes = torch.full((1,), float(yes), device=device)
        dist.all_reduce(votes)
        self._votes = votes.to("cpu", non_blocking=True)
        self._sent = torch.cuda.Event() if device.type == "cuda" else None
        if self._sent is not None:
            self._sent.record()

    def any(self) -> bool:
        """Wait for the votes; return whether one of them is yes."""
        if self._sent is not None:
            self._sent.synchronize()
        return self._votes.item() > 0


@contextmanager
def catching_interrupts(device: torch.device) -> Iterator[Interrupt]:
    """Take note of Ctrl-C in the block, where it would raise KeyboardInterrupt otherwise.

    A handler of the caller's own stays, and so does every one outside the main thread.
    """
    interrupt = Interrupt(device)
    if not can_catch_interrupts():
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt.note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
