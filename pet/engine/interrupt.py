"""Ending a training run after a step, in all processes, on Ctrl-C."""

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

    ``came``: pressed, in this process. ``came_twice``: pressed again, to stop at once. ``ended``:
    the run was ended, the same in all processes.
    """

    def __init__(self, device: torch.device) -> None:
        """``device`` is that of the processes' communication."""
        self.came = self.came_twice = self.ended = False
        self._raises = False
        self._device = device
        self._last_vote: _Vote | None = None

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal: remember the first, raise KeyboardInterrupt at the second."""
        if self.came:
            self.came_twice = True
            raise KeyboardInterrupt(_TWICE)
        self.came = True
        if self._raises:
            raise KeyboardInterrupt

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Raise KeyboardInterrupt in the block at the first signal, too, or now if it has come.

        It is for long work of a hook, which catches it unless ``came_twice``; the run then ends.
        """
        self._raises = True
        try:
            if self.came:
                raise KeyboardInterrupt
            yield
        finally:
            self._raises = False

    def until(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield ``batches`` up to the end of the step in which Ctrl-C was pressed.

        Several processes all end after the same step, the first or second after one of them got
        the signal.
        """
        if self.ended:
            return
        for batch in batches:
            if self._came_to_any():
                self.ended = True
                return
            yield batch
            if self.came and not is_distributed():  # the next batch may take long
                self.ended = True
            if self.ended:
                return

    def end(self) -> None:
        """End the run after this step; all processes call this, as the signal came to one."""
        self.ended = True

    def _came_to_any(self) -> bool:
        if not is_distributed():
            return self.came
        # This uses the answer of the previous step, which is ready: nothing waits for the device.
        last, self._last_vote = self._last_vote, _Vote(self.came, self._device)
        return last is not None and last.any()


class _Vote:
    """A vote of all processes that is still being reduced."""

    def __init__(self, yes: bool, device: torch.device) -> None:
        votes = torch.full((1,), float(yes), device=device)
        dist.all_reduce(votes)
        self._votes = votes.to("cpu", non_blocking=True)
        self._sent = torch.cuda.Event() if device.type == "cuda" else None
        if self._sent is not None:
            self._sent.record()

    def any(self) -> bool:
        """Wait for the votes, and return whether any of them is yes."""
        if self._sent is not None:
            self._sent.synchronize()
        return self._votes.item() > 0


@contextmanager
def catching_interrupts(device: torch.device) -> Iterator[Interrupt]:
    """Record Ctrl-C in the block instead of raising KeyboardInterrupt.

    A handler that the caller has set stays, and so does any handler outside the main thread.
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
