"""Peak memory of a piece of work: on a CPU that of a process of its own."""

import gc
import multiprocessing
import resource
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from tools.benchmark.measure import Work

# A function and its arguments, which give the work of a side.
Maker = tuple[Any, ...]

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def make_sides(
    device: torch.device, makers: Mapping[str, Maker], weigh: bool = True
) -> tuple[dict[str, Work], dict[str, int]]:
    """Return the work of each of ``makers`` and, unless not to ``weigh``, its peak memory."""
    if weigh and device.type == "cuda":
        both = {name: make_and_weigh(device, *maker) for name, maker in makers.items()}
        return {k: work for k, (work, _) in both.items()}, {
            k: size for k, (_, size) in both.items()
        }
    memory = {name: peak_memory(*maker) for name, maker in makers.items()} if weigh else {}
    return {name: make(*args) for name, (make, *args) in makers.items()}, memory


def peak_memory(make: Callable[..., Work], *args: Any) -> int:
    """Return the bytes that the work of ``make(*args)`` needs at its peak, in a fresh process.

    These are bytes of the CPU: by how much the process is larger than with everything imported.
    The work is done twice, as what is kept of the first time is in the way of the second. What it
    took to make it does not count, but what of that is still there does. ``make`` is a function of
    a module. Raises RuntimeError where the process dies.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, make, args))
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


def make_and_weigh(device: torch.device, make: Callable[..., Work], *args: Any) -> tuple[Work, int]:
    """Return the work of ``make(*args)``, and the bytes of a CUDA device that it needs at its peak.

    They are what PyTorch gives out beyond what it had given out before, so that several pieces of
    work can be weighed in one process. The work is done twice, as in ``peak_memory``.
    """
    # The first product takes memory for all that follow, which would count for whoever comes first.
    torch.ones(2, 2, device=device).mm(torch.ones(2, 2, device=device))
    gc.collect()
    before = torch.cuda.memory_allocated(device)
    work = make(*args)
    gc.collect()
    torch.cuda.reset_peak_memory_stats(device)
    for _ in range(2):
        work()()
    return work, torch.cuda.max_memory_allocated(device) - before


def _work(pipe: Connection, make: Callable[..., Work], args: tuple[Any, ...]) -> None:
    before = _process_peak()
    work = make(*args)
    _forget_peak()
    for _ in range(2):
        work()()
    pipe.send(_process_peak() - before)


def _forget_peak() -> None:
    """Let the peak be what there is now; only Linux can do that."""
    gc.collect()
    if _CLEAR.exists():
        _CLEAR.write_text("5")


def _process_peak() -> int:
    """Return the most bytes of memory that this process has had."""
    if _STATUS.is_file():
        # Not ru_maxrss: on Linux it begins with what the parent had.
        (line,) = (row for row in _STATUS.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
