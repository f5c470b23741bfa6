"""Random numbers that depend only on the seed and the position in the run."""

import random

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
