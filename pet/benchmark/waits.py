"""How often a piece of work waits for the device."""

import warnings

import torch

from pet.benchmark.measure import Work


def count_waits(work: Work) -> int:
    """Return how often ``work`` makes the CPU wait for a CUDA device, as PyTorch itself counts it.

    A wait leaves the device without work until the CPU has gone on.
    """
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            work()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return sum("synchronizing" in str(warning.message) for warning in caught)
