"""Further parts of a checkpoint."""

import logging
from typing import NamedTuple

import numpy as np
import pytest
import torch

from pet.checkpoint.checkpointer import Checkpointer
from pet.weights.import_weights import import_weights
from tests.weights.small_model import make_run, train_steps


class Pair(NamedTuple):
    a: int
    b: int


class Counter:
    """A part with a state of its own."""

    def __init__(self, count: int = 0) -> None:
        self.state = {"count": count, "mean": torch.full((2,), float(count)), "notes": ["a", None]}

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        if state["count"] < 0:
            raise ValueError("negative")
        self.state = state


@pytest.fixture
def saved(tmp_path):
    """Return a folder with a checkpoint of 2 steps that has two parts more."""
    checkpointer, run = Checkpointer(tmp_path), make_run()
    checkpointer.add_part("counter", Counter(3))
    checkpointer.add_part("scaler", Counter(8))
    train_steps(*run, 2)
    checkpointer.save(*run)
    return tmp_path


def test_parts_are_saved_and_resumed_under_their_names(saved, caplog):
    content = torch.load(saved / "model_latest.pth", weights_only=True)
    assert content["counter"]["count"] == 3 and content["scaler"]["count"] == 8
    checkpointer, counter, scaler = Checkpointer(saved), Counter(), Counter()
    checkpointer.add_part("scaler", scaler)
    checkpointer.add_part("counter", counter)
    assert checkpointer.resume(*make_run(seed=5))
    assert counter.state["count"] == 3 and counter.state["notes"] == ["a", None]
    assert torch.equal(scaler.state["mean"], torch.tensor([8.0, 8.0]))
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_checkpoint_without_the_part_resumes_with_a_warning(tmp_path, caplog):
    run = make_run()
    train_steps(*run, 2)
    Checkpointer(tmp_path).save(*run)
    checkpointer, part = Checkpointer(tmp_path), Counter(4)
    checkpointer.add_part("counter", part)
    other = make_run(seed=5)
    assert checkpointer.resume(*other) and other[2].iteration == 2
    assert part.state["count"] == 4
    assert "holds no part 'counter', which starts from the beginning" in caplog.text


def test_a_part_that_the_run_lacks_is_reported(saved, caplog):
    checkpointer, run = Checkpointer(saved), make_run(seed=5)
    checkpointer.add_part("counter", Counter())
    assert checkpointer.resume(*run)
    assert "also holds scaler, which this run has no use for" in caplog.text
    train_steps(*run, 1)
    checkpointer.save(*run)
    assert "scaler" not in torch.load(saved / "model_latest.pth", weights_only=True)


def test_a_refused_state_changes_neither_weights_nor_iteration(tmp_path):
    checkpointer, run = Checkpointer(tmp_path), make_run()
    checkpointer.add_part("counter", Counter(-1))
    train_steps(*run, 2)
    checkpointer.save(*run)
    other = make_run(seed=5)
    before = {key: value.clone() for key, value in other[0].state_dict().items()}
    with pytest.raises(ValueError, match=r"'counter' of .*model_latest\.pth does not fit .*negat"):
        checkpointer.resume(*other)
    assert other[2].iteration == 0
    assert all(torch.equal(before[key], value) for key, value in other[0].state_dict().items())


@pytest.mark.parametrize("name", ["", "model", "iteration", "keypoints", "pet_version", "counter"])
def test_a_name_that_is_taken_is_refused(tmp_path, name):
    checkpointer = Checkpointer(tmp_path)
    checkpointer.add_part("counter", Counter())
    with pytest.raises(ValueError, match=f"part named {name!r}; give another name than class_n"):
        checkpointer.add_part(name, Counter())


def test_a_part_needs_a_state(tmp_path):
    with pytest.raises(TypeError, match=r"needs the methods state_dict\(\) and load_state_dict"):
        Checkpointer(tmp_path).add_part("counter", object())


@pytest.mark.parametrize("value", [np.float64(1), {1, 2}, object(), Pair(1, 2)])
def test_a_state_that_could_not_be_read_again_is_not_written(tmp_path, value):
    checkpointer, part = Checkpointer(tmp_path), Counter()
    part.state["deep"] = [0, {"in": value}]
    checkpointer.add_part("counter", part)
    with pytest.raises(TypeError, match=r"counter\['deep'\]\[1\]\['in'\] is a "):
        checkpointer.save(*make_run())
    assert list(tmp_path.iterdir()) == []


def test_weights_are_read_from_a_checkpoint_with_parts(saved):
    imported = import_weights(saved / "model_latest.pth")
    assert imported.state.keys() == make_run()[0].state_dict().keys()
