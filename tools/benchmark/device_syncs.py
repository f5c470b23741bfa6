"""How often a piece of work waits for the device."""

import warnings

import torch

from tools.benchmark.measure import Turn

# What PyTorch says of each wait; of the counting itself it says that it may miss some.
_WAIT = "called a synchronizing"


def count_syncs(turn: Turn) -> int:
    """Return how often ``turn`` makes the CPU wait for a CUDA device, as PyTorch itself counts it.

    A wait leaves the device without work until the CPU has gone on.
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
