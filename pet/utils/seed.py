"""Random numbers that depend only on the seed and the position in the run."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_all(seed: int) -> None:
    """Seed Python, NumPy and torch (on every device) with ``seed`` >= 0."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def mix_seeds(*numbers: int) -> int:
    """Return a 63-bit seed that depends on all ``numbers`` (each >= 0) and on their order."""
    words = np.random.SeedSequence(numbers).generate_state(2, np.uint32)
    return (int(words[0]) << 31) ^ int(words[1])


@contextmanager
def kept_random_state(device: torch.device) -> Iterator[None]:
    """Restore the state of Python, NumPy and torch, on the CPU and ``device``, after the block."""
    python, numbers = random.getstate(), np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)
