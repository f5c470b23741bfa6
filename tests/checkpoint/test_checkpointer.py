"""Checkpoints: what is written, what survives a failure, and going on from them."""

import logging
import os
import re

import pytest
import torch
from torch import nn
from torch.nn.parallel import DataParallel

import pet
from pet.checkpoint import checkpointer as checkpointer_module
from pet.checkpoint.checkpointer import Checkpointer, build_checkpointer
from pet.structures import KeypointLayout
from tests.weights.small_model import make_run, train_steps


def equal_states(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture
def saved(tmp_path):
    """Return a checkpointer whose folder holds iterations 3 and 5 of a run, and that run."""
    checkpointer = Checkpointer(tmp_path / "run", class_names=("cat", "dog"))
    run = make_run()
    train_steps(*run, 3)
    checkpointer.save(*run)
    train_steps(*run, 2)
    checkpointer.save(*run)
    return checkpointer, run


def test_periods(fresh_cfg, tmp_path):
    fresh_cfg.CKPT, fresh_cfg.SOLVER.SNAPSHOT_ITERS, fresh_cfg.SOLVER.MAX_ITER = "x", 10, 25
    due = build_checkpointer(cfg=fresh_cfg).is_due
    assert [i for i in range(1, 26) if due(i)] == [10, 20, 25]
    fresh_cfg.SOLVER.SNAPSHOT_ITERS = 0
    due = build_checkpointer(cfg=fresh_cfg).is_due
    assert [i for i in range(1, 26) if due(i)] == [25]


def test_files_and_content(saved, tmp_path):
    _, (model, _, _) = saved
    folder = tmp_path / "run"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["model_iter3.pth", "model_iter5.pth", "model_latest.pth"]
    assert (folder / "model_latest.pth").samefile(folder / "model_iter5.pth")
    content = torch.load(folder / "model_latest.pth", weights_only=True)
    assert content["iteration"] == 5
    assert content["scheduler"] == {"iteration": 5}
    assert content["class_names"] == ["cat", "dog"]
    assert content["optimizer_type"] == "SGD"
    assert content["pet_version"] == pet.__version__
    assert equal_states(content["model"], model.state_dict())


def test_other_names(tmp_path):
    run = make_run()
    Checkpointer(tmp_path).save(*run, copy_latest=False, infix="best")
    assert [path.name for path in tmp_path.iterdir()] == ["model_best0.pth"]


def test_the_best_and_its_copies(saved, tmp_path, monkeypatch):
    checkpointer, run = saved
    folder = tmp_path / "run"
    checkpointer.save_best(*run)
    best = torch.load(folder / "model_best.pth", weights_only=True)
    assert best["iteration"] == 5 and equal_states(best["model"], run[0].state_dict())
    assert not (folder / "model_best.pth").samefile(folder / "model_latest.pth")
    train_steps(*run, 2)
    checkpointer.save_best(*run, is_latest=True)
    for name in ("model_iter7.pth", "model_latest.pth"):
        assert (folder / name).samefile(folder / "model_best.pth")
    before = (folder / "model_best.pth").read_bytes()
    monkeypatch.setattr(checkpointer_module, "is_main_process", lambda: False)
    train_steps(*run, 1)
    checkpointer.save_best(*run)
    assert (folder / "model_best.pth").read_bytes() == before


def test_where_links_are_impossible_the_latest_is_a_copy(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("this file system has no hard links")

    monkeypatch.setattr(os, "link", refuse)
    Checkpointer(tmp_path).save(*make_run())
    latest, snapshot = tmp_path / "model_latest.pth", tmp_path / "model_iter0.pth"
    assert not latest.samefile(snapshot)
    assert latest.read_bytes() == snapshot.read_bytes()


@pytest.mark.parametrize("name", ["SGD", "ADAMW"])
def test_resuming_is_bit_equal_to_never_stopping(tmp_path, name):
    whole = make_run(name=name)
    train_steps(*whole, 9)

    first = make_run(name=name)
    train_steps(*first, 5)
    Checkpointer(tmp_path).save(*first)
    second = make_run(seed=7, name=name)
    assert Checkpointer(tmp_path).resume(*second) is True
    assert second[2].iteration == 5
    train_steps(*second, 4)

    assert equal_states(whole[0].state_dict(), second[0].state_dict())
    old, new = whole[1].state_dict(), second[1].state_dict()
    assert old["param_groups"] == new["param_groups"]
    assert old["state"].keys() == new["state"].keys()
    for key, moments in old["state"].items():
        assert equal_states(moments, new["state"][key])


def test_a_wrapped_model_is_saved_and_resumed_bare(tmp_path):
    model, optimizer, scheduler = make_run()
    Checkpointer(tmp_path).save(DataParallel(model), optimizer, scheduler)
    keys = torch.load(tmp_path / "model_latest.pth", weights_only=True)["model"].keys()
    assert keys == model.state_dict().keys()
    other, optimizer, scheduler = make_run(seed=3)
    assert Checkpointer(tmp_path).resume(DataParallel(other), optimizer, scheduler)
    assert equal_states(model.state_dict(), other.state_dict())


def test_the_present_config_rules_over_the_files_options(saved):
    checkpointer, _ = saved
    run = make_run(base_lr=0.7, decay=0.03)
    checkpointer.resume(*run)
    weights, biases, _ = run[1].param_groups
    rate = 0.7 * (1 / 3 + 2 / 3 * 5 / 20)
    assert (weights["weight_decay"], biases["lr_factor"]) == (0.03, 2.0)
    assert (weights["lr"], biases["lr"]) == pytest.approx((rate, 2 * rate))


def test_nothing_to_resume(tmp_path):
    run = make_run()
    assert Checkpointer(tmp_path / "none").resume(*run) is False
    assert run[2].iteration == 0


def test_snapshots_without_a_latest_are_pointed_out(saved, tmp_path, caplog):
    (tmp_path / "run" / "model_latest.pth").unlink()
    with caplog.at_level(logging.WARNING, "pet"):
        assert saved[0].resume(*make_run()) is False
    assert "model_iter5.pth" in caplog.text


def test_the_log_says_what_was_restored(saved, caplog):
    with caplog.at_level(logging.INFO, "pet"):
        saved[0].resume(*make_run())
    rate = 0.1 * (1 / 3 + 2 / 3 * 5 / 20)
    assert "model_latest.pth at iteration 5, " in caplog.text
    assert f"learning rate {rate:.6f}" in caplog.text


@pytest.mark.parametrize("kept", [0, 100, 2000])
def test_a_truncated_latest_names_what_to_use_instead(saved, tmp_path, kept):
    latest = tmp_path / "run" / "model_latest.pth"
    latest.write_bytes(latest.read_bytes()[:kept])  # model_iter5.pth is the same file
    run = make_run()
    before = {key: value.clone() for key, value in run[0].state_dict().items()}
    with pytest.raises(ValueError, match=r"model_latest\.pth .*cut off") as caught:
        saved[0].resume(*run)
    assert "copy one of model_iter3.pth over it" in str(caught.value)
    assert equal_states(before, run[0].state_dict())


def test_a_truncated_latest_alone(tmp_path):
    (tmp_path / "model_latest.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"no other checkpoint .*delete it to start"):
        Checkpointer(tmp_path).resume(*make_run())


def test_a_bare_state_dict_is_no_checkpoint(tmp_path):
    run = make_run()
    torch.save(run[0].state_dict(), tmp_path / "model_latest.pth")
    with pytest.raises(ValueError, match=r"it has no model, optimizer.*TRAIN\.WEIGHTS"):
        Checkpointer(tmp_path).resume(*run)


def test_another_model(saved):
    with pytest.raises(ValueError, match=r"another model; .*CKPT.*AUTO_RESUME") as caught:
        saved[0].resume(*make_run(classes=5))
    assert "(3, 4) in the file, (5, 4) in the model" in str(caught.value)


def test_other_classes(saved, tmp_path):
    other = Checkpointer(tmp_path / "run", class_names=("cat", "cow"))
    with pytest.raises(ValueError, match="classes cat, dog; this run has cat, cow"):
        other.resume(*make_run())


def test_other_keypoints(tmp_path):
    run, nose = make_run(), KeypointLayout(("nose", "tail"))
    Checkpointer(tmp_path, keypoints=nose).save(*run)
    assert Checkpointer(tmp_path, keypoints=nose).resume(*make_run())
    assert Checkpointer(tmp_path).resume(*make_run())  # where one side says nothing
    other = Checkpointer(tmp_path, keypoints=KeypointLayout(("tail", "nose")))
    with pytest.raises(ValueError, match="keypoints nose, tail; this run has tail, nose"):
        other.resume(*make_run())


def test_another_optimizer(saved):
    with pytest.raises(ValueError, match=r"optimizer SGD, this run uses AdamW.*SOLVER\.OPTIMIZER"):
        saved[0].resume(*make_run(name="ADAMW"))


def test_another_set_of_trained_parameters(saved):
    model, _, scheduler = make_run()
    optimizer = torch.optim.SGD([model.Fast_RCNN.cls_score.weight], lr=0.1)
    with pytest.raises(ValueError, match=r"groups of \[3, 3, 2\].*BACKBONE\.FREEZE_AT"):
        saved[0].resume(model, optimizer, scheduler)


def test_a_full_disk_leaves_the_earlier_files_whole(saved, tmp_path, monkeypatch):
    checkpointer, run = saved
    folder = tmp_path / "run"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fill_up(content, file):
        file.write(b"half of a file")
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 576 vs 534")  # noqa: B904, as torch does

    monkeypatch.setattr(checkpointer_module.torch, "save", fill_up)
    train_steps(*run, 1)
    path = re.escape(str(folder / "model_iter6.pth"))
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        checkpointer.save(*run)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_weights_that_are_not_finite_are_not_written(saved, tmp_path):
    checkpointer, run = saved
    nn.init.constant_(run[0].Fast_RCNN.cls_score.bias, float("nan"))
    with pytest.raises(
        FloatingPointError, match=r"cls_score\.bias is not finite at iteration 5.*BASE_LR"
    ):
        checkpointer.save(*run)
    latest = torch.load(tmp_path / "run" / "model_latest.pth", weights_only=True)
    assert all(torch.isfinite(value).all() for value in latest["model"].values())


def test_only_the_main_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpointer_module, "is_main_process", lambda: False)
    Checkpointer(tmp_path).save(*make_run())
    assert list(tmp_path.iterdir()) == []
