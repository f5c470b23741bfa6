"""Scoring while training: the real thing in one process and two, and runs of scripted figures."""

import errno
import json
import multiprocessing
import os
import signal
import socket
from pathlib import Path

import pytest
import torch
from torch import nn

from pet.checkpoint.checkpointer import Checkpointer
from pet.engine import inference, scoring
from pet.engine.inference import run_test
from pet.engine.scoring import build_scoring
from pet.engine.train import run_training
from pet.evaluation.coco import CocoMetrics
from pet.launch.processes import spawn, teardown_distributed
from pet.modeling import registry
from tests.engine.tiny_run import tiny_cfg

CLASSES = ("circle", "cross", "square", "star", "triangle")
SMALL = {"MODEL__CONV_BODY": "resnet18_1x32d", "SOLVER__MAX_ITER": 2, "DISPLAY_ITER": 1}
#: What a scoring and a test write, the same for the same weights.
RESULTS = ("bbox.json", "segm.json", "metrics.json", "record_bbox.txt", "record_segm.txt")


def checkpoint(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def entries(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def scores(run: Path) -> list[dict]:
    return [entry for entry in entries(run) if "lr" not in entry]


def log(run: Path) -> str:
    return (run / "log.txt").read_text()


def assert_tested_alike(run: Path, cfg) -> None:
    """Assert that the last scoring of a run and a test of its last checkpoint agree."""
    run_test(cfg, nproc=1)
    for name in RESULTS:
        ours, theirs = (run / part / "shapes_val" / name for part in ("val", "test"))
        assert ours.read_bytes() == theirs.read_bytes(), name
    assert len(json.loads((run / "val" / "shapes_val" / "bbox.json").read_text())) > 20
    metrics = json.loads((run / "test" / "shapes_val" / "metrics.json").read_text())
    wanted = {
        f"val/shapes_val/{kind}/{name}": value
        for kind in ("bbox", "segm")
        for name, value in metrics[kind].items()
        if name != "per_class"
    }
    assert len(wanted) == 24
    (*_, last) = scores(run)
    assert last == {"iter": last["iter"], **wanted}
    assert not list(run.glob("**/part_*"))


def test_a_scoring_is_the_test_of_its_checkpoint_and_leaves_training_alone(folder, monkeypatch):
    run, plain = folder / "run", folder / "plain"
    run_training("tiny.yaml", tiny_cfg(folder, CKPT=str(plain), **SMALL))
    keys = {"TEST__EVAL_PERIOD": 1, "VIS__ENABLED": True, "TEST__LOADER_THREADS": 1, **SMALL}
    workers, score = [], scoring.score_shares

    def counting(*args):
        workers.append(len(multiprocessing.active_children()))
        return score(*args)

    monkeypatch.setattr(scoring, "score_shares", counting)
    run_training("tiny.yaml", tiny_cfg(folder, **keys))
    assert workers == [0, 0]  # they have ended
    assert [entry["iter"] for entry in scores(run)] == [1, 2]
    assert not (run / "vis").exists()
    assert_tested_alike(run, tiny_cfg(folder, **SMALL))

    ours, theirs = (checkpoint(path / "model_latest.pth") for path in (run, plain))
    for key, value in theirs["model"].items():
        assert torch.equal(ours["model"][key], value), key
    names = ("total_loss", "loss_mask", "lr")
    trained = [[e[name] for name in names] for e in entries(run) if "lr" in e]
    assert trained == [[e[name] for name in names] for e in entries(plain)]
    assert checkpoint(run / "model_best.pth")["iteration"] == ours["scoring"]["best"]["at"]
    assert "scoring" not in theirs and not list(plain.glob("*results*"))


def _train_one_of_two(rank: int, world_size: int, folder: Path, port: int) -> None:
    env = {"WORLD_SIZE": world_size, "RANK": rank, "LOCAL_RANK": rank, "MASTER_PORT": port}
    os.environ.update({key: str(value) for key, value in env.items()}, MASTER_ADDR="127.0.0.1")
    real = inference.image_results

    def fail_once(*args):
        inference.image_results = real
        raise ValueError("a result that cannot be written")

    if rank == 1:
        inference.image_results = fail_once
    cfg = tiny_cfg(folder, TEST__EVAL_PERIOD=1, SOLVER__SNAPSHOT_ITERS=0, **SMALL)
    run_training("tiny.yaml", cfg)
    teardown_distributed()


def test_two_processes_score_together_and_one_that_fails_stops_neither(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spawn(_train_one_of_two, 2, (folder, port), threads=1)
    run = folder / "run"
    assert (
        "ERROR: the scoring of iteration 1 failed, and training goes on: process 1: ValueError: a "
        "result that cannot be written; test_net.py scores a checkpoint later\n"
    ) in log(run)
    assert [entry["iter"] for entry in scores(run)] == [2]
    assert_tested_alike(run, tiny_cfg(folder, **SMALL))
    losses = [entry["total_loss"] for entry in entries(run) if "lr" in entry]  # of both processes
    (line,) = (run / "det_results.txt").read_text().splitlines()
    assert line.split()[-2] == f"{sum(losses) / 2:.4f}"


# Scripted figures --------------------------------------------------------------------------------


class Script:
    """Scorings with given figures instead of tests; one may instead raise an error."""

    def __init__(self, figures, monkeypatch) -> None:
        self.figures, self.before = dict(enumerate(figures, 1)), {}
        monkeypatch.setattr(scoring, "write_share", lambda *args: None)
        monkeypatch.setattr(scoring, "score_shares", self.score)
        real = scoring.Scoring._score

        def noting(hook, run):
            self.iteration = run.iteration
            real(hook, run)

        monkeypatch.setattr(scoring.Scoring, "_score", noting)

    def score(self, sets, share, cfg):
        if action := self.before.pop(self.iteration, None):
            action()
        figure = self.figures[self.iteration]
        twelve = [figure] * 11
        kinds = {"bbox": figure / 2, "segm": figure}
        return {
            tested.name: {
                kind: CocoMetrics(first, *twelve, per_class={}, per_class_50={}, summary="")
                for kind, first in kinds.items()
            }
            for tested in sets
        }


class Model(nn.Module):
    """A model of four numbers, so that steps and checkpoints take no time."""

    def __init__(self, cfg) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, images, targets):
        loss = self.layer(images.tensor.mean(dim=(2, 3), dtype=torch.float) / 255).square().mean()
        return {"losses": {"loss": loss}, "metrics": {}, "total_loss": loss}


@pytest.fixture
def script(monkeypatch) -> Script:
    monkeypatch.setitem(registry.MODELS._parts, "of_four_numbers", Model)
    return Script([0.2, 0.5, 0.4, 0.45, 0.3, 0.6], monkeypatch)


def scripted_cfg(folder: Path, **changes):
    keys = {
        "SOLVER__MAX_ITER": 6,
        "SOLVER__SNAPSHOT_ITERS": 0,
        "SOLVER__WARM_UP_ITERS": 0,
        "DISPLAY_ITER": 1,
        "TEST__EVAL_PERIOD": 1,
        "SOLVER__EARLY_STOP": 2,
        "MODEL__TYPE": "of_four_numbers",
    }
    return tiny_cfg(folder, **keys | changes)


def left_by(run: Path) -> dict:
    """Return what has to be the same of runs that are the same."""
    files = {name: (run / name).read_text() for name in ("det_results.txt", "seg_results.txt")}
    timeless = [
        {key: value for key, value in entry.items() if "time" not in key and "eta" not in key}
        for entry in entries(run)
    ]
    best, last = (checkpoint(run / f"model_{name}.pth") for name in ("best", "latest"))
    weights = float(sum(value.double().sum() for value in last["model"].values()))
    return files | {
        "entries": timeless,
        "best": (best["iteration"], best["scoring"]),
        "last": (last["iteration"], last["scoring"], weights),
    }


def test_the_best_is_kept_and_a_run_without_gain_ends_early(folder, script):
    run = folder / "run"
    run_training("tiny.yaml", scripted_cfg(folder))
    stop = (
        "training stopped early, after the scoring of iteration 4: 2 scorings in a row "
        "(SOLVER.EARLY_STOP 2) gave no higher shapes_val/segm/AP than 0.5000 at iteration 2"
    )
    assert log(run).endswith(
        f"{stop}\nTraining done ! The weights are {run / 'model_latest.pth'}\n"
    )
    assert "best shapes_val/segm/AP so far is 0.5000, at iteration 2: these weights" in log(run)
    best, last = (checkpoint(run / f"model_{name}.pth") for name in ("best", "latest"))
    assert (best["iteration"], last["iteration"]) == (2, 4)
    state = {"key": "shapes_val/segm/AP", "iteration": 4, "figure": 0.5, "at": 2, "without_gain": 2}
    assert last["scoring"] == {"best": state, "losses": {"sum": 0.0, "count": 0}}
    losses = [f"{entry['total_loss']:.4f}" for entry in entries(run) if "lr" in entry]
    rows = [
        f"iter:{n} {'  '.join([f'{figure / 2:.4f}', *[f'{figure:.4f}'] * 11])}  {loss}  0.010000\n"
        for (n, figure), loss in zip(list(script.figures.items())[:4], losses, strict=True)
    ]
    assert (run / "det_results.txt").read_text() == "".join(rows)

    run_training("tiny.yaml", scripted_cfg(folder))
    assert log(run).endswith(
        f"{stop}; to train on, give a larger SOLVER.EARLY_STOP, or 0; for a new run another CKPT\n"
    )
    assert checkpoint(run / "model_latest.pth")["iteration"] == 4
    run_training("tiny.yaml", scripted_cfg(folder, SOLVER__EARLY_STOP=4))
    assert [entry["iter"] for entry in scores(run)] == [1, 2, 3, 4, 5, 6]
    assert checkpoint(run / "model_best.pth")["iteration"] == 6
    run_training("tiny.yaml", scripted_cfg(folder))
    assert "already holds a run of 6 iterations" in log(run)


class Killed(BaseException):
    """Ends a run as a signal would that cannot be caught."""


def kill(*args, **keywords):
    raise Killed


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(folder, script, monkeypatch):
    # Scored every second iteration, and after the last step.
    keys = {"SOLVER__MAX_ITER": 3, "TEST__EVAL_PERIOD": 2, "SOLVER__SNAPSHOT_ITERS": 2}
    run_training("tiny.yaml", scripted_cfg(folder, **keys))
    whole = left_by(folder / "run")
    assert [entry["iter"] for entry in whole["entries"] if "lr" not in entry] == [2, 3]

    def in_a_scoring():
        script.before[2] = kill

    def before_the_best_is_written():
        monkeypatch.setattr(Checkpointer, "save_best", kill)

    def by_ctrl_c():  # at an iteration that is due for no checkpoint
        keys["SOLVER__SNAPSHOT_ITERS"] = 0
        script.before[2] = lambda: signal.raise_signal(signal.SIGINT)

    real = Checkpointer.save_best
    for stop in (in_a_scoring, before_the_best_is_written, by_ctrl_c):
        run = folder / stop.__name__
        stop()
        with pytest.raises((Killed, KeyboardInterrupt)) as stopped:
            run_training("tiny.yaml", scripted_cfg(folder, CKPT=str(run), **keys))
        monkeypatch.setattr(Checkpointer, "save_best", real)
        assert checkpoint(run / "model_latest.pth")["iteration"] == 2
        assert not (run / "model_best.pth").exists()
        run_training("tiny.yaml", scripted_cfg(folder, CKPT=str(run), **keys))
        assert left_by(run) == whole, stop.__name__
    assert str(stopped.value).startswith("interrupted at iteration 2; the checkpoint is")
    assert "the scoring of iteration 2 was interrupted; a resumed run makes up for it" in log(run)


def test_scorings_that_fail_are_told_and_training_goes_on(folder, script, monkeypatch):
    def fail(error):
        raise error

    run = folder / "run"
    script.before[1] = lambda: fail(OSError(errno.ENOSPC, "No space left", "val/bbox.json"))
    script.before[2] = lambda: fail(torch.OutOfMemoryError("CUDA out of memory"))
    script.before[3] = lambda: fail(AssertionError("a bug"))
    with monkeypatch.context() as patch:
        patch.setattr(Checkpointer, "save_best", lambda *_, **__: fail(OSError(28, "Full")))
        run_training("tiny.yaml", scripted_cfg(folder, SOLVER__MAX_ITER=4))
    told = [line for line in log(run).splitlines() if line.startswith("ERROR: the scoring of")]
    start = "ERROR: the scoring of iteration {} failed, and training goes on: "
    for n, (line, text) in enumerate(
        zip(
            told,
            ("[Errno 28] No space", "not enough memory: CUDA", "AssertionError: a bug", "[Errno"),
            strict=True,
        ),
        1,
    ):
        assert line.startswith(start.format(n) + text)
    assert "TEST.IMS_PER_GPU" in told[1]
    assert "Traceback" in log(run)  # of the bug
    assert "Training done !" in log(run)
    # What could be scored is told; the best could not be written, and is none.
    assert [entry["iter"] for entry in scores(run)] == [4]
    last = checkpoint(run / "model_latest.pth")
    assert (last["iteration"], last["scoring"]["best"]["iteration"]) == (4, 0)
    # A run that is done makes up for it.
    run_training("tiny.yaml", scripted_cfg(folder, SOLVER__MAX_ITER=4))
    assert checkpoint(run / "model_best.pth")["scoring"]["best"]["at"] == 4
    assert [entry["iter"] for entry in scores(run)] == [4]


def test_several_data_sets_have_files_of_their_own(folder, script):
    sets = ("shapes_val", "shapes_train")
    key = "shapes_train/bbox/AP"
    changes = {"TEST__DATASETS": sets, "TEST__BEST_KEY": key, "SOLVER__MAX_ITER": 1}
    run_training("tiny.yaml", scripted_cfg(folder, **changes))
    run = folder / "run"
    wanted = {f"{kind}_results_{name}.txt" for kind in ("det", "seg") for name in sets}
    assert {path.name for path in run.glob("*_results*")} == wanted
    best = checkpoint(run / "model_best.pth")["scoring"]["best"]
    assert (best["key"], best["figure"]) == (key, 0.1)
    (entry,) = scores(run)
    assert {name.split("/")[1] for name in entry if name != "iter"} == set(sets)


# Before training ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"TEST__DATASETS": ()}, r"TEST\.EVAL_PERIOD 1 .* names no data set to score on"),
        ({"TEST__BEST_KEY": "bbox/AP5"}, r"TEST\.BEST_KEY 'bbox/AP5' names no figure"),
        ({"TEST__EVAL_PERIOD": 0}, r"SOLVER\.EARLY_STOP 2 counts scorings"),
        ({"TRAIN__HOOKS": ("scoring",)}, r"has the name 'scoring' of Pet's own"),
    ],
)
def test_keys_that_contradict_each_other(tmp_path, script, changes, message):
    with pytest.raises(ValueError, match=message):
        build_scoring(CLASSES, scripted_cfg(tmp_path, **changes))


def test_what_the_data_sets_lack_is_told_before_training(folder, script, monkeypatch):
    annotations = folder / "data" / "shapes" / "annotations" / "instances_val.json"
    cfg = scripted_cfg(folder)
    assert build_scoring(CLASSES, cfg).period == 1
    with pytest.raises(ValueError, match="and no name is in both"):
        build_scoring(("hexagon", "line"), cfg)
    content = json.loads(annotations.read_text())
    (folder / "bare.json").write_text(json.dumps({**content, "annotations": None} | {}))
    del content["annotations"]
    (folder / "bare.json").write_text(json.dumps(content))
    bare = {
        "TEST__DATASETS": ("bare",),
        "DATASETS__bare__IMAGES": str(folder / "data" / "shapes" / "val"),
        "DATASETS__bare__ANNOTATIONS": str(folder / "bare.json"),
    }
    with pytest.raises(ValueError, match=r"bare\.json has no annotations, so that bare cannot"):
        build_scoring(CLASSES, scripted_cfg(folder, **bare))
    monkeypatch.setattr("pet.engine.train.build_model", None)
    (folder / "data" / "shapes" / "val" / "000003.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"000003\.png"):
        run_training("tiny.yaml", cfg)
