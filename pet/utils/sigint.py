"""Handling of Ctrl-C (SIGINT): exit at once, hold it back, or raise KeyboardInterrupt once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from types import FrameType
from typing import NoReturn


def leave_on_interrupt() -> None:
    """From now on, let Ctrl-C end this process at once with one line.

    A tool calls this before its slow imports, when it has written nothing yet. If the process
    ignores SIGINT, as a background process of a script does, or has a handler, nothing changes.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def raising_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt on Ctrl-C in the block, even after ``leave_on_interrupt``."""
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
    """Block Ctrl-C in the block; it takes effect at the end.

    A process started in the block inherits the blocked signal until it calls
    ``take_one_interrupt``. So the parent alone handles Ctrl-C, although the terminal sends it to
    every process.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # multiprocessing starts its tracker with the first process, and unblocks SIGINT afterwards.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take_one_interrupt() -> None:
    """Raise KeyboardInterrupt at the first Ctrl-C, or now if one is pending; ignore later ones."""
    signal.signal(signal.SIGINT, _raise_once)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def can_catch_interrupts() -> bool:
    """Whether Ctrl-C raises KeyboardInterrupt in this thread, by Python's default handler."""
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def is_reporting_rank() -> bool:
    """Whether this process is rank 0 of its launcher, which reports for all processes."""
    return os.environ.get("RANK", "0") == "0"


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    with suppress(OSError):  # stderr is closed
        if is_reporting_rank():
            os.write(2, b"interrupted\n")
    # A shell stops its script or loop only if the command was killed by SIGINT, not if it exited
    # with a status.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGINT)
    os._exit(130)


def _raise_once(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
