"""Hooks of a training run, and the example of docs/extending.md."""

import importlib.util
import itertools
import json
import re
import signal
from pathlib import Path

import pytest
import torch

from pet.config import UnknownNameError
from pet.engine import hooks as hooks_module
from pet.engine.hooks import HOOKS, Hook
from pet.engine.inference import run_test
from pet.engine.train import run_training
from tests.engine.tiny_run import tiny_cfg

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")


def checkpoint(path: Path) -> dict:
    return torch.load(path, weights_only=True)


@pytest.fixture
def no_hooks(monkeypatch):
    """Let what a test registers be gone after it."""
    monkeypatch.setattr(hooks_module.HOOKS, "_parts", {})


@pytest.fixture
def ema(tmp_path, no_hooks):
    """Register the hook of the page, as ``--import`` would."""
    [text] = [
        b for b in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "AveragedWeights" in b
    ]
    file = tmp_path / "ema.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("ema_example", file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


class Recorder(Hook):
    """Notes its calls with the iteration."""

    period = 3

    def __init__(self) -> None:
        self.calls = []

    def __getattribute__(self, name):
        if name in vars(Hook) and not name.startswith("_") and name != "period":
            return lambda run: self.calls.append((name, run.iteration, "total_loss" in run.outputs))
        return super().__getattribute__(name)


def test_when_hooks_are_called(folder, no_hooks):
    recorder = Recorder()
    HOOKS.register("recorder")(lambda cfg: recorder)
    run_training("tiny.yaml", tiny_cfg(folder, TRAIN__HOOKS=("recorder",)))
    assert recorder.calls == [
        ("before_training", 0, False),
        ("after_step", 1, True),
        ("after_step", 2, True),
        ("after_save", 2, True),
        ("after_step", 3, True),
        ("periodically", 3, True),
        ("after_step", 4, True),
        ("after_save", 4, True),
        ("after_training", 4, True),
    ]


def test_the_checkpoint_that_an_interrupt_leaves_is_told_of(folder, no_hooks):
    class Interrupting(Recorder):
        period = 0

        def __init__(self):
            super().__init__()
            self.calls = Calls()

    class Calls(list):
        def append(self, call):
            super().append(call)
            if call[:2] == ("after_step", 3):
                signal.raise_signal(signal.SIGINT)

    hook = Interrupting()
    HOOKS.register("interrupting")(lambda cfg: hook)
    with pytest.raises(KeyboardInterrupt, match="interrupted at iteration 3"):
        run_training("tiny.yaml", tiny_cfg(folder, TRAIN__HOOKS=("interrupting",)))
    assert hook.calls[-2:] == [("after_training", 3, True), ("after_save", 3, True)]
    assert checkpoint(folder / "run" / "model_latest.pth")["iteration"] == 3


def test_the_time_of_a_periodic_hook_is_in_no_logged_time(folder, no_hooks, monkeypatch):
    clock = {"now": 0.0}

    class Slow(Hook):
        period = 1

        def periodically(self, run):
            clock["now"] += 1000.0

    HOOKS.register("slow")(lambda cfg: Slow())
    cfg = tiny_cfg(folder, TRAIN__HOOKS=("slow",))
    from_init = hooks_module.TrainingLogger.__init__
    monkeypatch.setattr(
        hooks_module.TrainingLogger,
        "__init__",
        lambda self, *args, **kw: from_init(self, *args, **kw, clock=lambda: clock["now"]),
    )
    run_training("tiny.yaml", cfg)
    assert clock["now"] == 4000
    records = [json.loads(x) for x in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(record["iter_time"], record["data_time"]) for record in records] == [(0, 0)] * 2


def test_an_unknown_hook_ends_a_run_before_data_is_read(folder, no_hooks):
    cfg = tiny_cfg(folder, TRAIN__HOOKS=("emma",), TRAIN__DATASETS=("not_there",))
    with pytest.raises(UnknownNameError, match=r"no hook named 'emma' \(TRAIN\.HOOKS\)"):
        run_training("tiny.yaml", cfg)


def test_the_average_of_the_page_is_the_average_of_the_weights(folder, ema):
    cfg = tiny_cfg(folder, TRAIN__HOOKS=("ema",), SOLVER__SNAPSHOT_ITERS=1)
    run_training("tiny.yaml", cfg)
    saved = [checkpoint(folder / "run" / f"model_iter{n}.pth") for n in (1, 2, 3, 4)]
    key = "Fast_RCNN.predictor.cls_score.weight"
    for before, after in itertools.pairwise(saved):
        wanted = 0.9 * before["ema"][key] + 0.1 * after["model"][key]
        torch.testing.assert_close(after["ema"][key], wanted)
        assert not torch.equal(after["ema"][key], after["model"][key])
    written = checkpoint(folder / "run" / "model_ema.pth")
    assert all(torch.equal(written[key], value) for key, value in saved[-1]["ema"].items())


def test_a_resumed_average_equals_one_that_was_never_interrupted(folder, ema):
    whole = tiny_cfg(folder, CKPT=str(folder / "whole"), TRAIN__HOOKS=("ema",))
    run_training("tiny.yaml", whole)
    run_training("tiny.yaml", tiny_cfg(folder, SOLVER__MAX_ITER=2, TRAIN__HOOKS=("ema",)))
    run_training("tiny.yaml", tiny_cfg(folder, TRAIN__HOOKS=("ema",)))
    one, other = (checkpoint(folder / name / "model_latest.pth") for name in ("whole", "run"))
    for part in ("ema", "model"):
        assert all(torch.equal(one[part][key], value) for key, value in other[part].items())
    run_test(tiny_cfg(folder, TEST__WEIGHTS=str(folder / "run" / "model_ema.pth")))
    assert (folder / "run" / "test" / "shapes_val" / "metrics.json").is_file()


def test_a_hook_may_join_a_run_that_began_without_it(folder, ema, caplog):
    run_training("tiny.yaml", tiny_cfg(folder, SOLVER__MAX_ITER=2))
    start = checkpoint(folder / "run" / "model_latest.pth")["model"]
    run_training("tiny.yaml", tiny_cfg(folder, TRAIN__HOOKS=("ema",), SOLVER__MAX_ITER=3))
    assert "holds no part 'ema'" in (folder / "run" / "log.txt").read_text()
    last = checkpoint(folder / "run" / "model_latest.pth")
    key = "Fast_RCNN.predictor.cls_score.weight"
    torch.testing.assert_close(last["ema"][key], 0.9 * start[key] + 0.1 * last["model"][key])
