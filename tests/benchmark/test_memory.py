import sys

import pytest
import torch

from tools.benchmark.measure import Work
from tools.benchmark.memory import peak_memory


def fill(made: int, kept: int, needed: int) -> Work:
    """Return work that needs ``needed`` MB; making it takes ``made``, of which ``kept`` stay."""
    torch.ones(made, 250_000)
    stays = torch.ones(kept, 250_000)
    return lambda: lambda: (stays, torch.ones(needed, 250_000))


def fail() -> Work:
    raise ValueError("on purpose")


def test_what_the_work_needs_is_counted_and_nothing_else():
    grown = peak_memory(torch.device("cpu"), fill, 800, 100, 200)
    # Where the peak cannot be forgotten, the making counts as well.
    assert 300e6 <= grown <= (350e6 if sys.platform == "linux" else 950e6)


def test_a_process_that_dies_is_reported(capfd):
    with pytest.raises(RuntimeError, match="died with status 1"):
        peak_memory(torch.device("cpu"), fail)
    assert "on purpose" in capfd.readouterr().err
