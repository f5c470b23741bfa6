import pytest
import torch

from pet.benchmark.memory import peak_memory


def fill(megabytes: int) -> None:
    torch.ones(megabytes, 250_000)


def fail() -> None:
    raise ValueError("on purpose")


def test_what_the_work_needs_is_counted_and_nothing_else():
    grown = peak_memory(torch.device("cpu"), fill, 300)
    assert 300e6 <= grown <= 340e6


def test_a_process_that_dies_is_reported(capfd):
    with pytest.raises(RuntimeError, match="died with status 1"):
        peak_memory(torch.device("cpu"), fail)
    assert "on purpose" in capfd.readouterr().err
