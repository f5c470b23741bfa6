"""Learning-rate schedules."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pet.solver.lr_scheduler import (
    LearningRateScheduler,
    Schedule,
    build_lr_scheduler,
    learning_rate,
)

STEP = Schedule(base_lr=0.02, max_iter=90000, steps=(60000, 80000), gamma=0.1)


def optimizer_with_factors(*factors: float) -> torch.optim.Optimizer:
    groups = [{"params": [nn.Parameter(torch.ones(1))], "lr_factor": f} for f in factors]
    return torch.optim.SGD(groups, lr=1.0)


def test_the_tutorials_log_lines(fresh_cfg):
    fresh_cfg.SOLVER.BASE_LR = 0.01
    scheduler = build_lr_scheduler(optimizer_with_factors(1.0), fresh_cfg)
    shown = {}
    for _ in range(501):
        scheduler.step()
        shown[scheduler.iteration] = f"{scheduler.new_lr:.6f}"
    assert (shown[80], shown[100], shown[120]) == ("0.004400", "0.004667", "0.004933")
    assert (shown[500], shown[501]) == ("0.010000", "0.010000")


@pytest.mark.parametrize(
    ("iteration", "rate"),
    [
        (0, 0.02),
        (1, 0.02),
        (60000, 0.02),
        (60001, 0.002),
        (80000, 0.002),
        (80001, 0.0002),
        (90000, 0.0002),
    ],
)
def test_step(iteration, rate):
    assert learning_rate(iteration, STEP) == pytest.approx(rate, rel=1e-12)


def test_no_steps_hold_the_rate():
    assert learning_rate(90000, replace(STEP, steps=())) == 0.02


@pytest.mark.parametrize(("iteration", "rate"), [(1, 2.0), (51, 1.0), (26, 1.7071067811865475)])
def test_cosine(iteration, rate):
    schedule = Schedule(base_lr=2.0, max_iter=100, policy="COSINE")
    assert learning_rate(iteration, schedule) == pytest.approx(rate)


@pytest.mark.parametrize(("iteration", "rate"), [(1, 2.0), (51, 0.5), (91, 0.02)])
def test_poly(iteration, rate):
    schedule = Schedule(base_lr=2.0, max_iter=100, policy="POLY", power=2.0)
    assert learning_rate(iteration, schedule) == pytest.approx(rate)


@pytest.mark.parametrize("policy", ["COSINE", "POLY"])
def test_the_last_update_still_learns_and_the_next_would_not(policy):
    schedule = Schedule(base_lr=2.0, max_iter=100, policy=policy)
    assert learning_rate(100, schedule) > 0
    assert learning_rate(101, schedule) == learning_rate(500, schedule) == 0


@pytest.mark.parametrize(
    ("method", "iteration", "factor"),
    [
        ("LINEAR", 0, 0.2),
        ("LINEAR", 5, 0.6),
        ("LINEAR", 10, 1.0),
        ("LINEAR", 11, 1.0),
        ("CONSTANT", 0, 0.2),
        ("CONSTANT", 10, 0.2),
        ("CONSTANT", 11, 1.0),
    ],
)
def test_warm_up(method, iteration, factor):
    schedule = replace(STEP, warm_up_method=method, warm_up_iters=10, warm_up_factor=0.2)
    assert learning_rate(iteration, schedule) == pytest.approx(0.02 * factor)


@pytest.mark.parametrize("method", ["LINEAR", "CONSTANT"])
def test_no_warm_up(method):
    schedule = replace(STEP, warm_up_method=method, warm_up_iters=0, warm_up_factor=0.2)
    assert learning_rate(0, schedule) == learning_rate(1, schedule) == 0.02


def test_warm_up_multiplies_the_policy():
    schedule = replace(
        STEP, steps=(2,), warm_up_method="CONSTANT", warm_up_iters=10, warm_up_factor=0.5
    )
    assert learning_rate(3, schedule) == pytest.approx(0.02 * 0.1 * 0.5)


def test_unknown_names():
    with pytest.raises(ValueError, match=r"'STAIRS' \(SOLVER\.LR_POLICY\)"):
        learning_rate(1, replace(STEP, policy="STAIRS"))
    with pytest.raises(ValueError, match=r"'EXP' \(SOLVER\.WARM_UP_METHOD\)"):
        learning_rate(1, replace(STEP, warm_up_method="EXP", warm_up_iters=5))


def test_groups_get_their_factor():
    optimizer = optimizer_with_factors(1.0, 2.0)
    scheduler = LearningRateScheduler(optimizer, Schedule(0.5, 10, steps=(1,), gamma=0.1))
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 1.0]
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.1])
    assert (scheduler.iteration, scheduler.new_lr) == (2, pytest.approx(0.05))


def test_loading_takes_the_iteration_and_keeps_the_schedule():
    old = LearningRateScheduler(optimizer_with_factors(1.0), Schedule(0.5, 100))
    for _ in range(7):
        old.step()
    assert old.state_dict() == {"iteration": 7}

    optimizer = optimizer_with_factors(1.0)
    new = LearningRateScheduler(optimizer, Schedule(3.0, 200))
    new.load_state_dict(old.state_dict())
    assert (new.iteration, new.new_lr, optimizer.param_groups[0]["lr"]) == (7, 3.0, 3.0)
    new.step()
    assert new.iteration == 8
