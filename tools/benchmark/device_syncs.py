"""Counting how often a piece of work waits for the device."""

import warnings

import torch

from tools.benchmark.measure import Turn

# PyTorch's warning of each wait; another one says that the count may miss some.
_WAIT = "called a synchronizing"


def count_syncs(turn: Turn) -> int:
    """Return how often ``turn`` makes the CPU wait for a CUDA device, as counted by PyTorch.

    After a wait the device has no work until the CPU has started the next.
    """
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            turn()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return sum(_WAIT in str(warning.message) for warning in caught)
