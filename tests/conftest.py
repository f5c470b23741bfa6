"""Fixtures that every test may use."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from pet.config import CfgNode, cfg, default_cfg, reset_cfg
from tests.data_folder import data_folder
from tests.small_cfgs import drawn_pictures

# Several small tests in a row are fastest on one thread, and give the same numbers everywhere.
torch.set_num_threads(int(os.environ.get("PET_TEST_THREADS", "1")))


# The fixtures by which a test asks for real pictures, and is skipped where there are none.
_REAL = {"coco_mini", "voc_mini"}
# ... and the reason for which one is skipped where there is no GPU.
_NO_GPU = "there is no CUDA device"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of real pictures, and those of a GPU, so that they can be run alone."""
    for item in items:
        if _REAL & set(getattr(item, "fixturenames", ())):
            item.add_marker("real_pictures")
        if any(mark.kwargs.get("reason") == _NO_GPU for mark in item.iter_markers("skipif")):
            item.add_marker("cuda")


@pytest.fixture(autouse=True)
def _unchanged_interrupt_handler():
    """Restore the handler of Ctrl-C: a tool that runs in this process sets its own, which exits."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def _unchanged_global_cfg():
    """Give every test the defaults in the global config."""
    yield
    reset_cfg(cfg)


@pytest.fixture
def fresh_cfg() -> CfgNode:
    """Return a config of its own, with every key at its default."""
    return default_cfg()


@pytest.fixture
def coco_mini() -> Path:
    """Return a small COCO data set of real pictures, in COCO's own layout."""
    return data_folder("coco-mini")


@pytest.fixture
def voc_mini() -> Path:
    """Return a small VOCdevkit of real pictures."""
    return data_folder("voc-mini") / "VOCdevkit"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> dict[str, Any]:
    """Return the keys of a data set of two drawn pictures, with masks and keypoints."""
    return drawn_pictures(tmp_path_factory.mktemp("pictures"))
