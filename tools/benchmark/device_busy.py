"""Which share of the time a CUDA device is at work, by PyTorch's profiler."""

import time
from collections.abc import Iterable

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tools.benchmark.measure import Turn

# Copies beside the kernels, which need none of the device's processors.
_COPIES = ("Memcpy", "Memset")


def busy_share(turn: Turn, device: torch.device) -> float | None:
    """Return in which share of the time of ``turn`` a kernel ran on ``device``, 0..1.

    None where the profiler sees no kernel, as on a machine that keeps its counters from users.
    While it records, the CPU takes somewhat longer to start a kernel, so the share is rather a
    little too low.
    """
    torch.cuda.synchronize(device)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        start = time.perf_counter()
        turn()
        torch.cuda.synchronize(device)
        seconds = time.perf_counter() - start
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in profiler.events() or ()
        if event.device_type == DeviceType.CUDA
        and not event.name.startswith(_COPIES)
        and not event.is_user_annotation  # spans from the first to the last of many kernels
    ]
    return covered(spans) / 1e6 / seconds if spans else None


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of what ``spans``, (begin, end), cover, each piece counted once."""
    total, last = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(end - max(begin, last), 0.0)
        last = max(last, end)
    return total
