import sys

import pytest
import torch

from tools.benchmark.measure import Work
from tools.benchmark.memory import make_and_weigh, make_sides, peak_memory


def fill(made: int, kept: int, needed: int) -> Work:
    """Return work that needs ``needed`` MB; making it takes ``made``, of which ``kept`` stay."""
    torch.ones(made, 250_000)
    stays = torch.ones(kept, 250_000)
    return lambda: lambda: (stays, torch.ones(needed, 250_000))


def fail() -> Work:
    raise ValueError("on purpose")


def test_what_the_work_needs_is_counted_and_nothing_else():
    grown = peak_memory(fill, 800, 100, 200)
    # Where the peak cannot be forgotten, the making counts as well.
    assert 300e6 <= grown <= (350e6 if sys.platform == "linux" else 950e6)


def test_a_process_that_dies_is_reported(capfd):
    with pytest.raises(RuntimeError, match="died with status 1"):
        peak_memory(fail)
    assert "on purpose" in capfd.readouterr().err


def test_sides_are_made_and_weighed():
    sides, memory = make_sides(torch.device("cpu"), {"a": (fill, 1, 1, 1), "b": (fill, 1, 1, 300)})
    assert [len(work()()) for work in sides.values()] == [2, 2]
    assert memory["b"] > memory["a"] + 250e6
    sides, memory = make_sides(torch.device("cpu"), {"a": (fill, 1, 1, 1)}, weigh=False)
    assert list(sides) == ["a"] and not memory


def fill_device(kept: int, needed: int) -> Work:
    """Return work that needs ``needed`` MB of the device, of which ``kept`` are there before."""
    stays = torch.ones(kept, 250_000, device="cuda")
    return lambda: lambda: (stays, torch.ones(needed - kept, 250_000, device="cuda"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_memory_of_a_device_counts_what_each_side_needs():
    kept = []
    for _ in range(2):  # what the first side keeps does not count for the second
        work, weight = make_and_weigh(torch.device("cuda"), fill_device, 100, 300)
        assert 300e6 <= weight <= 310e6
        kept.append(work)
