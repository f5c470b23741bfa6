"""Learning-rate schedules by iteration."""

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any

from torch.optim import Optimizer

from pet.config import CfgNode, cfg
from pet.config.schedule import lr_steps
from pet.solver.schedule import base_lr


@dataclass(frozen=True)
class Schedule:
    """The settings of a schedule; ``pet/config/base.py`` describes their keys under SOLVER."""

    base_lr: float
    max_iter: int
    _: KW_ONLY
    policy: str = "STEP"  # "STEP", "COSINE" or "POLY"
    steps: tuple[int, ...] = ()  # STEP: updates after which the rate drops, in ascending order
    gamma: float = 0.1  # STEP: factor of each drop
    power: float = 0.9  # POLY: exponent
    warm_up_method: str = "LINEAR"  # "LINEAR" or "CONSTANT"
    warm_up_iters: int = 0
    warm_up_factor: float = 1.0 / 3.0


class LearningRateScheduler:
    """Sets the learning rate of every parameter group before each update.

    ``iteration`` is the number of updates begun so far, as shown in the log; ``new_lr`` is the base
    rate of the latest one. The rate of a group is ``new_lr`` times its ``lr_factor``.
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        self._optimizer, self._schedule = optimizer, schedule
        self._set_iteration(0)

    def step(self) -> None:
        """Set the learning rate of the next update; call this before ``optimizer.step()``."""
        self._set_iteration(self.iteration + 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint, which is only the iteration."""
        return {"iteration": self.iteration}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the iteration of ``state``; the schedule of this object is kept."""
        self._set_iteration(int(state["iteration"]))

    def _set_iteration(self, iteration: int) -> None:
        self.iteration = iteration
        self.new_lr = learning_rate(iteration, self._schedule)
        for group in self._optimizer.param_groups:
            group["lr"] = self.new_lr * group.get("lr_factor", 1.0)


def build_lr_scheduler(optimizer: Optimizer, cfg: CfgNode = cfg) -> LearningRateScheduler:
    """Return the scheduler that SOLVER describes, at iteration 0."""
    solver = cfg.SOLVER
    schedule = Schedule(
        base_lr=base_lr(cfg),
        max_iter=solver.MAX_ITER,
        policy=solver.LR_POLICY,
        steps=lr_steps(solver),
        gamma=solver.GAMMA,
        power=solver.LR_POW,
        warm_up_method=solver.WARM_UP_METHOD,
        warm_up_iters=solver.WARM_UP_ITERS,
        warm_up_factor=solver.WARM_UP_FACTOR,
    )
    return LearningRateScheduler(optimizer, schedule)


def learning_rate(iteration: int, schedule: Schedule) -> float:
    """Return the base rate of update number ``iteration``, counted from 1.

    It is the policy's rate times the warm-up factor. Iteration 0, before any update, has the
    starting rate of the warm-up.
    """
    policy = _policy_factor(max(iteration - 1, 0), schedule)
    return schedule.base_lr * policy * _warm_up_factor(iteration, schedule)


def _policy_factor(done: int, schedule: Schedule) -> float:
    """Return the policy's factor on the base rate after ``done`` updates.

    STEP keeps the full rate for ``steps[0]`` updates: update ``steps[0] + 1`` is the first with the
    lower rate. COSINE (Loshchilov & Hutter 2017, without restarts) and POLY (Chen et al. 2017)
    would reach 0 at update ``max_iter + 1``, so that the last update still has an effect.
    """
    progress = min(done / schedule.max_iter, 1.0)
    if schedule.policy == "STEP":
        return schedule.gamma ** sum(done >= step for step in schedule.steps)
    if schedule.policy == "COSINE":
        return 0.5 * (1.0 + math.cos(math.pi * progress))
    if schedule.policy == "POLY":
        return (1.0 - progress) ** schedule.power
    raise ValueError(
        f"no schedule named {schedule.policy!r} (SOLVER.LR_POLICY); choose from STEP, COSINE, POLY"
    )


def _warm_up_factor(iteration: int, schedule: Schedule) -> float:
    """Return the warm-up factor of update number ``iteration``.

    LINEAR rises to 1 at update ``warm_up_iters``; CONSTANT stays the same until then, and is 1
    after it.
    """
    if schedule.warm_up_iters == 0 or iteration > schedule.warm_up_iters:
        return 1.0
    if schedule.warm_up_method == "CONSTANT":
        return schedule.warm_up_factor
    if schedule.warm_up_method == "LINEAR":
        progress = iteration / schedule.warm_up_iters
        return schedule.warm_up_factor + (1.0 - schedule.warm_up_factor) * progress
    raise ValueError(
        f"no warm-up named {schedule.warm_up_method!r} (SOLVER.WARM_UP_METHOD); "
        "choose from LINEAR, CONSTANT"
    )
