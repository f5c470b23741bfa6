"""What a training run writes."""

import contextlib
import errno
import json
import logging
import math
import re
import sys

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pet.logger import training_logger as logger_module
from pet.logger.log_text import format_duration
from pet.logger.meters import Meter
from pet.logger.setup import close_logging
from pet.logger.training_logger import (
    TrainingLogger,
    build_logger,
    cut_metrics,
    logging_rank,
    setup_logging,
)


@pytest.fixture
def log(tmp_path):
    """Send Pet's messages to a folder, and undo that afterwards."""
    setup_logging(tmp_path, rank=0)
    yield tmp_path / "log.txt"
    close_logging()


class Clock:
    """A clock that goes on only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def outputs(metrics=None, **losses: float) -> dict:
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in losses.items()}
    metrics = {name: torch.tensor(value) for name, value in (metrics or {}).items()}
    return {
        "losses": tensors,
        "metrics": metrics,
        "total_loss": torch.stack([*tensors.values()]).sum(),
    }


def run_iteration(logger, clock, iteration, output, wait=0.5, move=0.25, work=1.0, lr=0.01):
    """Go through one iteration as the training loop does."""
    clock.now += wait
    logger.iter_tic()
    logger.data_tic()
    clock.now += move
    logger.data_toc()
    logger.update_stats(output, False, 1)
    clock.now += work
    logger.log_stats(iteration, lr)
    logger.iter_toc()


def read_records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_an_entry_by_hand(log, tmp_path, capsys):
    clock = Clock()
    with TrainingLogger("e2e.yaml", tmp_path, 90000, 4, 76, clock) as logger:
        for iteration, loss in zip(range(77, 81), (4.0, 1.0, 3.0, 2.0), strict=True):
            output = outputs(loss_mask=0.25, loss_box=loss, metrics={"accuracy": 0.5})
            run_iteration(logger, clock, iteration, output, lr=0.0044)
    # Iteration 77 took 1.25 s, without its wait; 78 and 79 took 1.75 s; 80 is not over.
    expected = [
        "[Training][e2e.yaml][iter: 80/90000][lr: 0.004400][eta: 1 day, 15:32:53]",
        "          total_loss: 2.750000 (2.750000), iter_time: 1.7500 (1.5833), "
        "data_time: 0.7500 (0.6250)",
        "          loss_mask: 0.250000 (0.250000), loss_box: 2.500000 (2.500000)",
        "          accuracy: 0.500000 (0.500000)",
    ]
    assert log.read_text().splitlines() == expected
    assert capsys.readouterr().out.splitlines() == expected
    (record,) = read_records(tmp_path)
    assert record == {
        "iter": 80,
        "lr": 0.0044,
        "loss_mask": 0.25,
        "loss_box": 2.5,
        "total_loss": 2.75,
        "accuracy": 0.5,
        "iter_time": 1.75,
        "data_time": 0.75,
        "eta_seconds": pytest.approx((90000 - 80) * 4.75 / 3),
    }


def test_the_lines_have_the_tutorials_form(log, tmp_path):
    clock = Clock()
    with TrainingLogger("e2e_mask_rcnn_R-50-FPN_1x.yaml", tmp_path, 90000, 1, 79, clock) as logger:
        output = outputs(loss_mask=0.3, loss_objectness=0.2, loss_rpn_box_reg=0.1)
        run_iteration(logger, clock, 80, output, lr=0.0044)
    head, times, losses = log.read_text().splitlines()
    assert re.fullmatch(
        r"\[Training\]\[e2e_mask_rcnn_R-50-FPN_1x\.yaml\]\[iter: 80/90000\]\[lr: 0\.004400\]"
        r"\[eta: (\d+ days?, )?\d+:\d\d:\d\d\]",
        head,
    )
    six, four = r"\d\.\d{6} \(\d\.\d{6}\)", r"\d\.\d{4} \(\d\.\d{4}\)"
    assert re.fullmatch(rf" {{10}}total_loss: {six}, iter_time: {four}, data_time: {four}", times)
    assert re.fullmatch(
        rf" {{10}}loss_mask: {six}, loss_objectness: {six}, loss_rpn_box_reg: {six}", losses
    )


def test_entries_come_at_the_period_and_at_the_end(log, tmp_path):
    clock = Clock()
    with TrainingLogger("x", tmp_path, 7, 3, 0, clock) as logger:
        for iteration in range(1, 8):
            run_iteration(logger, clock, iteration, outputs(loss=float(iteration)))
    records = read_records(tmp_path)
    assert [record["iter"] for record in records] == [3, 6, 7]
    assert [record["loss"] for record in records] == [2.0, 5.0, 6.0]
    assert "loss: 6.000000 (4.000000)" in log.read_text()
    assert records[-1]["eta_seconds"] == 0


def test_nothing_is_read_between_entries(log, tmp_path, monkeypatch):
    reads = []
    read = logger_module.PendingValues.label
    monkeypatch.setattr(
        logger_module.PendingValues,
        "label",
        lambda self, values: reads.append(len(values)) or read(self, values),
    )
    clock = Clock()
    with TrainingLogger("x", tmp_path, 100, 20, 0, clock) as logger:
        for iteration in range(1, 41):
            run_iteration(logger, clock, iteration, outputs(a=1.0, b=2.0))
    assert reads == [60, 60]  # 20 iterations of total_loss, a and b


def test_values_of_another_shape_type_or_with_a_graph(log, tmp_path):
    clock = Clock()
    output = {
        "losses": {"loss": torch.tensor([1.5], dtype=torch.float64, requires_grad=True)},
        "metrics": {"count": torch.tensor(3), "undefined": torch.tensor(math.nan)},
        "total_loss": torch.tensor(1.5, dtype=torch.bfloat16, requires_grad=True),
    }
    with TrainingLogger("x", tmp_path, 10, 1, 0, clock) as logger:
        run_iteration(logger, clock, 1, output)
    (record,) = read_records(tmp_path)
    assert (record["loss"], record["total_loss"], record["count"]) == (1.5, 1.5, 3.0)
    assert "undefined" not in record


def test_a_loss_that_is_not_finite_ends_the_run(log, tmp_path):
    clock = Clock()
    logger = TrainingLogger("x", tmp_path, 100, 4, 0, clock)
    bad = outputs(loss_box=1.0, loss_mask=math.inf)
    run_iteration(logger, clock, 1, outputs(loss_box=1.0, loss_mask=1.0))
    run_iteration(logger, clock, 2, bad)
    run_iteration(logger, clock, 3, outputs(loss_box=math.nan, loss_mask=1.0))
    with pytest.raises(FloatingPointError) as caught:
        run_iteration(logger, clock, 4, outputs(loss_box=1.0, loss_mask=1.0), lr=0.02)
    message = str(caught.value)
    assert "broke down at iteration 2: total_loss is inf, loss_mask is inf; " in message
    assert "learning rate is 0.020000 at iteration 4" in message
    for key in ("SOLVER.BASE_LR", "SOLVER.WARM_UP_ITERS", "SOLVER.CLIP_GRAD_NORM"):
        assert key in message
    logger.close()


def test_check_finite_looks_at_what_is_not_yet_shown(log, tmp_path):
    clock = Clock()
    with TrainingLogger("x", tmp_path, 100, 20, 0, clock) as logger:
        logger.check_finite()
        run_iteration(logger, clock, 1, outputs(loss=1.0))
        logger.check_finite()
        run_iteration(logger, clock, 2, outputs(loss=math.nan))
        with pytest.raises(FloatingPointError, match="iteration 2: total_loss is nan, loss is nan"):
            logger.check_finite()


def test_tensorboard(log, tmp_path):
    clock = Clock()
    with TrainingLogger("x", tmp_path, 10, 2, 0, clock) as logger:
        for iteration in range(1, 5):
            run_iteration(logger, clock, iteration, outputs(loss=float(iteration)), lr=0.5)
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert [(e.step, e.value) for e in board.Scalars("train/loss")] == [(2, 1.5), (4, 3.5)]
    assert [e.value for e in board.Scalars("train/lr")] == [0.5, 0.5]


def test_a_resumed_run_cuts_what_came_after(log, tmp_path):
    lines = [f'{{"iter": {i}, "loss": {i}.0}}\n' for i in (20, 40, 60)]
    (tmp_path / "metrics.jsonl").write_text("".join(lines) + '{"iter": 80, "lo')
    clock = Clock()
    with TrainingLogger("x", tmp_path, 100, 20, 40, clock) as logger:
        for iteration in range(41, 61):
            run_iteration(logger, clock, iteration, outputs(loss=7.0))
    assert [(r["iter"], r["loss"]) for r in read_records(tmp_path)] == [
        (20, 20.0),
        (40, 40.0),
        (60, 7.0),
    ]


def test_scores_are_lines_of_their_own(log, tmp_path):
    old = [{"iter": 1, "val/d/bbox/AP": 0.1}, {"iter": 2, "loss": 1.0}, {"iter": 2, "val/d/x": 0.2}]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in old))
    with TrainingLogger("x", tmp_path, 10, 1, 2, Clock()) as logger:
        logger.log_scores(2, {"val/d/bbox/AP": 0.3})  # of the iteration that is resumed
        run_iteration(logger, Clock(), 3, outputs(loss=1.0))
        logger.log_scores(3, {"val/d/bbox/AP": 0.4, "val/d/bbox/AP50": -1.0})
    (loss,) = (entry for entry in read_records(tmp_path) if entry["iter"] == 3 and "lr" in entry)
    assert read_records(tmp_path) == [
        *old[:2],
        {"iter": 2, "val/d/bbox/AP": 0.3},
        loss,
        {"iter": 3, "val/d/bbox/AP": 0.4, "val/d/bbox/AP50": -1.0},
    ]
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    found = [(event.step, event.value) for event in board.Scalars("val/d/bbox/AP")]
    assert found == [(2, pytest.approx(0.3)), (3, pytest.approx(0.4))]


def test_a_full_disk_leaves_no_part_of_a_line(log, tmp_path, monkeypatch):
    with TrainingLogger("x", tmp_path, 10, 1, 0, Clock()) as logger:
        logger.log_scores(1, {"val/d/bbox/AP": 0.3})
        whole = (tmp_path / "metrics.jsonl").read_text()

        @contextlib.contextmanager
        def full(*args, **keys):
            with open(*args, **keys) as file:
                file.write('{"iter"')
                raise OSError(errno.ENOSPC, "No space left on device")
                yield

        monkeypatch.setattr(logger_module, "open", full, raising=False)
        with pytest.raises(OSError, match=r"No space left .*metrics\.jsonl"):
            logger.log_scores(2, {"val/d/bbox/AP": 0.4})
    assert (tmp_path / "metrics.jsonl").read_text() == whole


def test_a_line_that_was_cut_off_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for torn in ('{"iter": 20', "3", "null", '{"lr": 1}', ""):
        path.write_text(f'{{"iter": 10}}\n{torn}\n')
        cut_metrics(path, 100)
        assert path.read_text() == '{"iter": 10}\n'
    path.write_text('{"iter": 10}')
    cut_metrics(path, 100)
    assert path.read_text() == '{"iter": 10}\n'
    cut_metrics(tmp_path / "none.jsonl", 100)


def test_other_processes_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(logger_module, "is_main_process", lambda: False)
    clock = Clock()
    with TrainingLogger("x", tmp_path, 10, 1, 0, clock) as logger:
        run_iteration(logger, clock, 1, outputs(loss=1.0))
        with pytest.raises(FloatingPointError):
            run_iteration(logger, clock, 2, outputs(loss=math.nan))
    assert list(tmp_path.iterdir()) == []


def test_the_values_are_averaged_over_the_processes(log, tmp_path, monkeypatch):
    def add_other_process(values):
        values += torch.tensor([5.0, 3.0])

    monkeypatch.setattr(logger_module.dist, "all_reduce", add_other_process)
    with TrainingLogger("x", tmp_path, 10, 1, 0) as logger:
        logger.iter_tic()
        logger.update_stats(outputs(loss=1.0), True, 2)
        logger.log_stats(1, 0.1)
    (record,) = read_records(tmp_path)
    assert (record["total_loss"], record["loss"]) == (3.0, 2.0)


def test_memory_does_not_grow():
    meter = Meter(window=3)
    for value in range(1000):
        meter.update(float(value))
    assert meter.pair == (998.0, 499.5)
    assert len(meter._recent) == 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(79652.9, "22:07:32"), (93784, "1 day, 2:03:04"), (5, "0:00:05"), (-1, "0:00:00")],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


def test_the_tutorials_eta():
    assert format_duration((90000 - 80) * 0.88581) == "22:07:32"


def test_built_from_the_config(fresh_cfg, tmp_path, log):
    fresh_cfg.CKPT, fresh_cfg.DISPLAY_ITER, fresh_cfg.SOLVER.MAX_ITER = str(tmp_path), 2, 4
    with build_logger("x.yaml", start_iter=2, cfg=fresh_cfg) as logger:
        for iteration in (3, 4):
            run_iteration(logger, Clock(), iteration, outputs(loss=1.0))
    assert "[Training][x.yaml][iter: 4/4]" in log.read_text()


def test_no_bar_where_there_is_no_terminal(log, tmp_path, capsys):
    with TrainingLogger("x", tmp_path, 10, 5, 0) as logger:
        logger.iter_tic()
        logger.iter_toc()
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(log, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    clock = Clock()
    with TrainingLogger("x", tmp_path, 4, 2, 1, clock) as logger:
        for iteration in (2, 3, 4):
            run_iteration(logger, clock, iteration, outputs(loss=1.0))
    captured = capsys.readouterr()
    assert "4/4" in captured.err
    assert captured.out.count("[Training]") == 2
    assert "[Training]" not in captured.err


def test_log_lines_come_once(tmp_path, capsys):
    for _ in range(2):
        setup_logging(tmp_path, rank=0)
    root = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(root)
    try:
        logging_rank("Training starts !", distributed=True, local_rank=0)
        logging_rank("said by another", distributed=True, local_rank=1)
        logging.getLogger("pet.data").warning("an image is odd")
    finally:
        logging.getLogger().removeHandler(root)
        close_logging()
    expected = "Training starts !\nWARNING: an image is odd\n"
    assert capsys.readouterr().out == expected
    assert (tmp_path / "log.txt").read_text() == expected


def test_the_log_file_is_appended(tmp_path, capsys):
    for text in ("first run", "second run"):
        setup_logging(tmp_path / "new", rank=0)
        logging_rank(text)
        close_logging()
    assert (tmp_path / "new" / "log.txt").read_text() == "first run\nsecond run\n"


def test_other_ranks_say_errors_only(tmp_path, capsys):
    setup_logging(tmp_path, rank=1)
    logging_rank("hello")
    logging.getLogger("pet.data").warning("an image is odd")
    logging.getLogger("pet.data").error("the disk is gone")
    close_logging()
    assert capsys.readouterr().out == "ERROR: the disk is gone\n"
    assert list(tmp_path.iterdir()) == []
