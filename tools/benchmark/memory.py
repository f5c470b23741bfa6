"""Peak memory of a piece of work, measured in a process of its own."""

import gc
import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from tools.benchmark.measure import Work

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(device: torch.device, make: Callable[..., Work], *args: Any) -> int:
    """Return the bytes that the work of ``make(*args)`` needs at its peak, in a fresh process.

    It is done twice, as what is kept of the first time is in the way of the second. What it took to
    make it does not count, but what of that is still there does. On a CUDA device these are the
    bytes that PyTorch had given out there; on the CPU, by how much the process is larger than with
    everything imported. ``make`` is a function of a module. Raises RuntimeError where the process
    dies.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, device, make, args))
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
    pipe: Connection, device: torch.device, make: Callable[..., Work], args: tuple[Any, ...]
) -> None:
    before = _process_peak()
    work = make(*args)
    _forget_peak(device)
    for _ in range(2):
        work()()
    if device.type == "cuda":
        pipe.send(torch.cuda.max_memory_allocated(device))
    else:
        pipe.send(_process_peak() - before)


def _forget_peak(device: torch.device) -> None:
    """Let the peak be what there is now; on the CPU only Linux can do that."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR.exists():
        _CLEAR.write_text("5")


def _process_peak() -> int:
    """Return the most bytes of memory that this process has had."""
    if _STATUS.is_file():
        # Not ru_maxrss: on Linux it begins with what the parent had.
        (line,) = (row for row in _STATUS.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
