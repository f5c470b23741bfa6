"""Peak memory of a piece of work, on a CPU in a separate process."""

import gc
import multiprocessing
import resource
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from tools.benchmark.measure import Work

# A function that makes the work of a side, and its arguments.
Maker = tuple[Any, ...]

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def make_sides(
    device: torch.device, makers: Mapping[str, Maker], weigh: bool = True
) -> tuple[dict[str, Work], dict[str, int]]:
    """Return the work of each of ``makers`` and, with ``weigh``, its peak memory."""
    if weigh and device.type == "cuda":
        both = {name: make_and_weigh(device, *maker) for name, maker in makers.items()}
        return {k: work for k, (work, _) in both.items()}, {
            k: size for k, (_, size) in both.items()
        }
    memory = {name: peak_memory(*maker) for name, maker in makers.items()} if weigh else {}
    return {name: make(*args) for name, (make, *args) in makers.items()}, memory


def peak_memory(make: Callable[..., Work], *args: Any) -> int:
    """Return the peak bytes of the work of ``make(*args)``, in a fresh process.

    These are bytes of CPU memory beyond those of the process after all imports. The work is done
    twice, as memory kept from the first time adds to the second. Memory that only ``make`` needs
    temporarily does not count. ``make`` is a function of a module. Raises RuntimeError if the
    process dies.
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
    """Return the work of ``make(*args)``, and its peak bytes on a CUDA device.

    They are PyTorch's allocations beyond the earlier ones, so that several pieces of work can be
    measured in one process. The work is done twice, as in ``peak_memory``.
    """
    # The first product allocates memory for all later ones, which would count for the first side.
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
    """Reset the peak to the present memory; only Linux can do that."""
    gc.collect()
    if _CLEAR.exists():
        _CLEAR.write_text("5")


def _process_peak() -> int:
    """Return the peak memory of this process, in bytes."""
    if _STATUS.is_file():
        # Not ru_maxrss, which on Linux starts with the parent's.
        (line,) = (row for row in _STATUS.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes
