"""Torch files with more beside the weights than tensors: read where it is plain, or refused."""

import argparse
import collections
import os
import pathlib
import pickle
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.serialization import get_safe_globals
from yacs.config import CfgNode

from pet.weights.load import load_weights
from pet.weights.torch_file import read_torch_file
from tests.weights.small_model import SmallModel
from tests.weights.small_torchvision import small_mask_rcnn

zipped = pytest.mark.parametrize("zipped", [True, False])


class MakesFolder:
    """Unpickled, it would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


class MyNamespace(argparse.Namespace):
    """A class that only looks like the one that is read."""


class Tampered:
    """Unpickled, it is a namespace whose state would give it another class and another method."""

    def __reduce__(self):
        state = {"__class__": collections.OrderedDict, "__setstate__": collections.Counter}
        return argparse.Namespace, (), (state, {"__class__": 1, "a": 2})


def save(tmp_path, content, zipped=True) -> Path:
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    return tmp_path / "w.pth"


@zipped
def test_a_checkpoint_of_torchvisions_training_scripts(tmp_path, zipped):
    args = argparse.Namespace(lr=0.1, data_path="coco", nested=argparse.Namespace(a=[1]), none=None)
    model = SmallModel()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3])
    content = {
        "model": small_mask_rcnn(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),  # with a collections.Counter
        "args": args,
        "epoch": 3,
    }
    path = save(tmp_path, content, zipped)
    read = read_torch_file(path)
    assert read.keys() == content.keys()
    assert read["epoch"] == 3 and not hasattr(read["args"], "lr")
    with pytest.raises(ValueError, match=r"nothing in .* \(torchvision detector\)|does not fit"):
        load_weights(SmallModel(), path)  # read, and of another model


@zipped
def test_a_checkpoint_of_detectron2(tmp_path, zipped):
    beside = {"__author__": "me", "iteration": 9, "scheduler": {"last_epoch": 9}, "trainer": {}}
    state = SmallModel().state_dict()
    path = save(tmp_path, {"model": state, **beside}, zipped)
    assert load_weights(SmallModel(), path, strict=True).format == "Pet"


@zipped
def test_a_checkpoint_of_lightning(tmp_path, zipped):
    state = {f"model.{key}": value for key, value in SmallModel().state_dict().items()}
    beside = {
        "epoch": 1,
        "global_step": 2,
        "pytorch-lightning_version": "2.1.0",
        "loops": {"fit_loop": {}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(1.0)}},
        "hyper_parameters": {"lr": 0.1, "args": argparse.Namespace(lr=0.1)},
    }
    path = save(tmp_path, {"state_dict": state, **beside}, zipped)
    assert load_weights(SmallModel(), path, strict=True).format == "Pet"


def test_what_torch_may_read_is_as_before(tmp_path):
    path = save(tmp_path, {"args": argparse.Namespace(a=1)})
    before = get_safe_globals()
    read_torch_file(path)
    assert set(get_safe_globals()) == set(before)  # torch gives them in no order
    with pytest.raises(pickle.UnpicklingError, match=r"argparse\.Namespace"):
        torch.load(path, weights_only=True)


@zipped
@pytest.mark.parametrize(
    ("beside", "name"),
    [
        (pathlib.PurePosixPath("x"), "pathlib.PurePosixPath"),
        (np.float64(1), "multiarray.scalar"),
        (np.zeros(2), "multiarray._reconstruct"),
        (collections.defaultdict(list), "collections.defaultdict"),
        (CfgNode({"a": 1}), "yacs.config.CfgNode"),
        (types.SimpleNamespace(a=1), "types.SimpleNamespace"),
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (MyNamespace(a=1), "MyNamespace"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_class_that_is_not_read_is_named(tmp_path, beside, name, zipped):
    path = save(tmp_path, {"model": SmallModel().state_dict(), "beside": beside}, zipped)
    with pytest.raises(ValueError, match=r"w\.pth is refused, and nothing of it was run") as caught:
        read_torch_file(path)
    message = str(caught.value)
    assert name in message
    assert 'torch.save(content["model"], "weights.pth")' in message
    assert "\n" not in message


@zipped
@pytest.mark.parametrize("place", ["attribute", "key", "beside"])
def test_a_namespace_brings_nothing_with_it(tmp_path, place, zipped):
    made = tmp_path / "made"
    bomb = MakesFolder(made)
    args = {
        "attribute": argparse.Namespace(a=[bomb]),
        "key": argparse.Namespace(**{"__setstate__": bomb}),
        "beside": (argparse.Namespace(a=1), bomb),
    }[place]
    path = save(tmp_path, {"model": SmallModel().state_dict(), "args": args}, zipped)
    with pytest.raises(ValueError, match=rf"is refused.*{os.name}\.mkdir"):
        read_torch_file(path)
    assert not made.exists()


@zipped
def test_a_namespace_keeps_its_class_whatever_the_file_says(tmp_path, zipped):
    read = read_torch_file(save(tmp_path, [Tampered()], zipped))[0]
    assert type(read).__name__ == "_Namespace" and not hasattr(read, "a")
    assert not hasattr(read, "__dict__")
