"""Fixtures of the tests that run the engine."""

from pathlib import Path

import pytest
import torch

from pet.logger.setup import close_logging
from tests.engine.tiny_run import draw_few_shapes


@pytest.fixture(autouse=True)
def _nothing_left_behind():
    """Close the log of a run, and give back the threads that a test on the CPU takes."""
    threads = torch.get_num_threads()
    yield
    close_logging()
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return a folder with a few shapes in data/."""
    draw_few_shapes(monkeypatch, tmp_path / "data")
    return tmp_path
