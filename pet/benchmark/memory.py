"""Peak memory of a piece of work, measured in a process of its own."""

import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch


def peak_memory(device: torch.device, work: Callable[..., object], *args: Any) -> int:
    """Return the bytes that ``work(*args)`` needed at its peak, run in a fresh process.

    On a CUDA device these are the bytes that PyTorch had given out there; on the CPU, by how much
    the process grew over what it was with everything imported. ``work`` is a function of a module.
    Raises RuntimeError where the process dies.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, device, work, args))
    process.start()
    theirs.close()
    try:
        return int(ours.recv())
    except EOFError:
        process.join()
        raise RuntimeError(
            f"the process that measures memory died with status {process.exitcode}; its error "
            "stands above"
        ) from None
    finally:
        process.join()


def _work(
    pipe: Connection, device: torch.device, work: Callable[..., object], args: tuple[Any, ...]
) -> None:
    before = _process_peak()
    work(*args)
    if device.type == "cuda":
        pipe.send(torch.cuda.max_memory_allocated(device))
    else:
        pipe.send(_process_peak() - before)


def _process_peak() -> int:
    """Return the most bytes of memory that this process has had."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not ru_maxrss: on Linux it begins with what the parent had.
        (line,) = (row for row in status.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
