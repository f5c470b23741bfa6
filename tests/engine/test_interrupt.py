"""Ctrl-C in training: real signals to real processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pet.engine.interrupt import Interrupt
from pet.engine.train import _conclude, run_training
from tests.engine.tiny_run import tiny_cfg
from tests.source_code import ROOT
from tests.tool_process import DIED_OF_INTERRUPT, TORCHRUN, run

CPU = torch.device("cpu")

# A file to import: presses Ctrl-C in the middle of a step, by its number in the run, or elsewhere.
HEAD = """
import os
import signal
from pet.weights import torch_file
from pet.data import build
from pet.engine import train

RANK = os.environ.get("RANK", "0")

def pressing(function, at, *targets):
    calls = 0
    def wrapped(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == at:
            for target in targets:
                os.kill(target, signal.SIGINT)
        return function(*args, **kwargs)
    return wrapped
"""
TERMINAL, ITSELF = "0", "os.getpid()"
IN_STEP = "train.update = pressing(train.update, {step}, {targets})"


def in_step(step: int, *targets: str) -> str:
    return IN_STEP.format(step=step, targets=", ".join(targets))


@pytest.fixture
def trained(folder):
    """Return what trains as a process, with a file of lines of Python to import."""

    def train(lines: str, launcher=(), **changes: object) -> tuple[int, str, str]:
        changes = {"SOLVER__MAX_ITER": 5, "SOLVER__SNAPSHOT_ITERS": 0, "DISPLAY_ITER": 1} | changes
        (folder / "press.py").write_text(HEAD + lines)
        (folder / "tiny.yaml").write_text(tiny_cfg(folder, **changes).dump())
        words = ("--import", "press.py", "--cfg", "tiny.yaml")
        return run("rcnn/train_net.py", folder, *words, launcher=launcher)

    return train


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "run").iterdir()}


def iterations(run: Path) -> list[int]:
    return [json.loads(line)["iter"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def tensors(content: object) -> list[torch.Tensor]:
    if isinstance(content, torch.Tensor):
        return [content]
    if isinstance(content, dict):
        content = list(content.values())
    parts = content if isinstance(content, list | tuple) else []
    return [tensor for part in parts for tensor in tensors(part)]


def content(path: Path) -> dict:
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_command_goes_on_as_if_nothing_had_been(trained, folder, workers):
    # With processes, the checkpoint is due at that iteration.
    changes = {"TRAIN__LOADER_THREADS": workers, "SOLVER__SNAPSHOT_ITERS": 3 if workers else 0}
    status, out, err = trained(in_step(3, TERMINAL), **changes)
    latest = folder / "run" / "model_latest.pth"
    assert err == (
        f"interrupted at iteration 3; the checkpoint is {latest}; the same command goes on from "
        "there\n"
    )
    assert status == DIED_OF_INTERRUPT
    assert "Training done" not in out
    assert out.count("checkpoint of iteration 3 written") == 1
    files = {"config.yaml", "log.txt", "metrics.jsonl", "tensorboard"}
    assert names(folder) == files | {"model_iter3.pth", "model_latest.pth"}
    assert content(latest)["iteration"] == 3
    assert iterations(folder / "run") == [1, 2, 3]

    status, out, err = trained(in_step(3, TERMINAL), **changes)
    assert (status, err) == (0, "")
    assert "Training done" in out
    changes = {"SOLVER__MAX_ITER": 5, "SOLVER__SNAPSHOT_ITERS": 0, "DISPLAY_ITER": 1}
    run_training("tiny.yaml", tiny_cfg(folder, CKPT=str(folder / "whole"), **changes))
    assert iterations(folder / "run") == iterations(folder / "whole") == [1, 2, 3, 4, 5]
    ours, whole = content(latest), content(folder / "whole" / "model_latest.pth")
    for part in ("model", "optimizer"):
        pairs = list(zip(tensors(ours[part]), tensors(whole[part]), strict=True))
        assert len(pairs) > 50
        assert all(torch.equal(one, other) for one, other in pairs)


def test_the_second_ends_at_once(trained, folder):
    status, out, err = trained(in_step(3, ITSELF, TERMINAL), SOLVER__SNAPSHOT_ITERS=2)
    assert err == (
        "interrupted twice: stopped at once, without a checkpoint; earlier ones are whole\n"
    )
    assert status == DIED_OF_INTERRUPT
    assert "iter: 3/" not in out
    assert {name for name in names(folder) if "model" in name} == {
        "model_iter2.pth",
        "model_latest.pth",
    }
    assert content(folder / "run" / "model_latest.pth")["iteration"] == 2


def test_the_second_while_the_checkpoint_is_written(trained, folder):
    lines = in_step(1, ITSELF) + "\ntorch_file.torch.save = pressing(torch_file.torch.save, 1, 0)"
    status, _, err = trained(lines)
    assert (status, err.count("\n")) == (DIED_OF_INTERRUPT, 1)
    assert err.startswith("interrupted twice")
    assert names(folder) == {"config.yaml", "log.txt", "metrics.jsonl", "tensorboard"}


def interrupted(cfg, iteration: int, ended: bool = True) -> str:
    """Return what a run that was at 2, and was interrupted at ``iteration``, says."""
    interrupt = Interrupt(CPU)
    interrupt.came, interrupt.ended = True, ended
    with pytest.raises(KeyboardInterrupt) as raised:
        _conclude(interrupt, 2, iteration, cfg)
    return str(raised.value)


def test_what_is_said(folder):
    cfg, latest = tiny_cfg(folder, SOLVER__MAX_ITER=5), folder / "run" / "model_latest.pth"
    assert interrupted(cfg, 2) == "interrupted before the first step"
    assert interrupted(cfg, 4) == (
        f"interrupted at iteration 4; the checkpoint is {latest}; the same command goes on from "
        "there"
    )
    for ended in (True, False):
        done = f"interrupted when training was done; the weights are {latest}"
        assert interrupted(cfg, 5, ended) == done
    anew = tiny_cfg(folder, SOLVER__MAX_ITER=5, TRAIN__AUTO_RESUME=False)
    told = interrupted(anew, 4)
    assert told.endswith("the same command, with TRAIN.AUTO_RESUME True, goes on from there")


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        ("train.build_model = pressing(train.build_model, 1, 0)", "interrupted\n"),
        (
            "items = build.TrainItems\n"
            "items.__getitem__ = pressing(items.__getitem__, 1, os.getpid())",
            "interrupted before the first step\n",
        ),
    ],
    ids=["building", "reading"],
)
def test_before_the_first_step(trained, folder, lines, line):
    status, out, err = trained(lines)
    assert (status, err) == (DIED_OF_INTERRUPT, line)
    assert "checkpoint" not in out
    assert not list(folder.glob("run/*.pth")) and not list(folder.glob("**/.*"))


TO_LAUNCHER = "if RANK == '0':\n    " + in_step(2, "os.getppid()")
TO_ONE = "if RANK == '1':\n    " + in_step(2, ITSELF)


@pytest.mark.parametrize("lines", [TO_LAUNCHER, TO_ONE], ids=["torchrun", "one of two"])
def test_two_processes_end_after_the_same_step(trained, folder, lines):
    status, out, err = trained(lines, launcher=TORCHRUN, SOLVER__MAX_ITER=6)
    assert status == 1  # torchrun's
    latest = folder / "run" / "model_latest.pth"
    last = content(latest)["iteration"]
    assert 2 <= last <= 4
    assert err.count("interrupted at iteration") == 1
    assert f"interrupted at iteration {last}; the checkpoint is {latest}; " in err
    assert f"{ROOT}/pet/" not in err  # no traceback of ours
    assert "Warning" not in err
    assert "Training done" not in out
    assert iterations(folder / "run") == list(range(1, last + 1))

    if lines == TO_ONE:
        return
    status, out, _ = trained("", launcher=TORCHRUN, SOLVER__MAX_ITER=6)
    assert status == 0
    assert f"at iteration {last}, learning rate" in out
    assert iterations(folder / "run") == [1, 2, 3, 4, 5, 6]


def test_a_handler_of_the_callers_own_stays(folder):
    """And Python's own is there again after a run."""
    (folder / "tiny.yaml").write_text(tiny_cfg(folder).dump())
    (folder / "press.py").write_text(HEAD + in_step(2, ITSELF))
    script = """
import signal
import press
from pet.config import cfg, freeze, merge_cfg_from_file

merge_cfg_from_file("tiny.yaml")
freeze()
pressed = []
mine = lambda number, frame: pressed.append(number)
signal.signal(signal.SIGINT, mine)
press.train.run_training("tiny.yaml")
assert pressed == [signal.SIGINT] and signal.getsignal(signal.SIGINT) is mine
signal.signal(signal.SIGINT, signal.default_int_handler)
press.train.update = press.pressing(press.train.update, 1, press.os.getpid())
cfg.defrost()
cfg.CKPT += "_2"
freeze()
try:
    press.train.run_training("tiny.yaml")
except KeyboardInterrupt as interrupt:
    assert "interrupted at iteration 1;" in str(interrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print("as it should be")
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("as it should be\n"), done.stderr


def test_batches_end_after_the_step_of_the_signal():
    interrupt = Interrupt(CPU)
    batches = interrupt.until(iter(range(9)))
    assert [next(batches), next(batches)] == [0, 1]
    interrupt.note(signal.SIGINT, None)
    assert list(batches) == []
    assert interrupt.ended
    with pytest.raises(KeyboardInterrupt, match="twice"):
        interrupt.note(signal.SIGINT, None)


def test_batches_end_where_the_processes_agreed_to():
    interrupt = Interrupt(CPU)
    batches = interrupt.until(iter(range(9)))
    assert next(batches) == 0
    interrupt.end()
    assert list(batches) == list(interrupt.until(range(9))) == []
    assert interrupt.ended and not interrupt.came


def test_without_a_signal_all_batches_come():
    interrupt = Interrupt(CPU)
    assert list(interrupt.until([1, 2])) == [1, 2]
    assert not interrupt.came and not interrupt.ended


def test_long_work_of_a_hook_ends_at_the_signal():
    interrupt = Interrupt(CPU)
    with pytest.raises(KeyboardInterrupt) as first, interrupt.raising():
        interrupt.note(signal.SIGINT, None)
    assert str(first.value) == "" and interrupt.came and not interrupt.came_twice
    with pytest.raises(KeyboardInterrupt), interrupt.raising():  # it has come before
        raise AssertionError
    with pytest.raises(KeyboardInterrupt, match="twice"):
        interrupt.note(signal.SIGINT, None)
    assert interrupt.came_twice


def test_work_without_a_signal_is_done():
    interrupt, done = Interrupt(CPU), []
    with interrupt.raising():
        done.append(1)
    interrupt.note(signal.SIGINT, None)  # outside of it, the signal is only noted
    assert done and interrupt.came
