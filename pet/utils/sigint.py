"""Ctrl-C (SIGINT) in a process: when it may come, and whom it ends."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn


def leave_on_interrupt() -> None:
    """Let Ctrl-C end this process at once, with one line, from now on.

    For what a tool does before its ``main``: nothing has been written yet. A process that ignores
    SIGINT, as one in the background of a script does, or handles it in its own way, is left alone.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def raising_interrupts() -> Iterator[None]:
    """Make Ctrl-C a KeyboardInterrupt in the block, where ``leave_on_interrupt`` was called."""
    if signal.getsignal(signal.SIGINT) is not _leave:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def holding_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back in the block; it takes effect at the end.

    A process started in the block holds it back for as long as it lives, or until
    ``take_one_interrupt``: so that the terminal, which sends it to all, leaves it to the parent.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take_one_interrupt() -> None:
    """Raise KeyboardInterrupt at the first Ctrl-C, be it one held back; pass over any later."""
    signal.signal(signal.SIGINT, _raise_once)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def can_catch_interrupts() -> bool:
    """Whether Ctrl-C raises KeyboardInterrupt in this very thread, as Python has it."""
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def speaks_for_all() -> bool:
    """Whether this process is the one of a launcher's that says what befell all of them."""
    return os.environ.get("RANK", "0") == "0"


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    with suppress(OSError):  # nobody reads it
        if speaks_for_all():
            os.write(2, b"interrupted\n")
    # A shell that runs a script or a loop ends it where a command has died of SIGINT, not where
    # one has ended with a status of its own.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    os._exit(130)


def _raise_once(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
