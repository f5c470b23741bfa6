"""Hooks: the calls that features get during a training run."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import nn
from torch.optim import Optimizer

from pet.checkpoint.checkpointer import Checkpointer
from pet.config import CfgNode, cfg
from pet.engine.interrupt import Interrupt
from pet.logger.training_logger import TrainingLogger
from pet.solver.lr_scheduler import LearningRateScheduler
from pet.utils.registry import Registry

Batch = TypeVar("Batch")


@dataclass
class TrainingRun:
    """A run as its hooks see it."""

    model: nn.Module  # in a process group, the wrapper that is trained
    optimizer: Optimizer
    scheduler: LearningRateScheduler
    checkpointer: Checkpointer
    logger: TrainingLogger
    # Of the model, at the last step; {} before the first.
    outputs: dict[str, Any] = field(default_factory=dict)
    interrupt: Interrupt | None = None  # of Ctrl-C, if a run handles it
    stopped: str = ""  # why a hook ended the run; "" while it goes on

    @property
    def iteration(self) -> int:
        """Number of steps done since the start of the run, including those before a resume."""
        return self.scheduler.iteration

    def stop(self, reason: str) -> None:
        """End the run after this step; all processes must call this after the same one."""
        self.stopped = reason

    def until_stopped(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield ``batches`` up to the end of the step after which a hook ended the run."""
        if self.stopped:
            return
        for batch in batches:
            yield batch
            if self.stopped:
                return


class Hook:
    """A hook that does nothing; a feature overrides the methods that it needs.

    All processes of a run call them, in the same order. A hook with ``state_dict()`` and
    ``load_state_dict(state)`` is saved and resumed as a part of the checkpoints, under its name in
    ``TRAIN.HOOKS``; its state arrives before ``before_training``.
    """

    #: Iterations between two calls of ``periodically``; 0, the default, for none.
    period: int = 0

    def before_training(self, run: TrainingRun) -> None:
        """Called when weights are loaded or resumed, before the first step."""

    def after_step(self, run: TrainingRun) -> None:
        """Called when the weights have changed, before this iteration's checkpoint is written."""

    def after_save(self, run: TrainingRun) -> None:
        """Called when a checkpoint of this iteration is written."""

    def periodically(self, run: TrainingRun) -> None:
        """Called every ``period`` iterations, after this one's checkpoint, if due, is written.

        The logged times do not include this call.
        """

    def after_training(self, run: TrainingRun) -> None:
        """Called after the last step, or after the step in which Ctrl-C ended the run.

        The checkpoint that Ctrl-C leaves, and its ``after_save``, come later.
        """


#: ``builder(cfg)`` -> ``Hook``.
HOOKS: Registry[Callable[[CfgNode], Hook]] = Registry("hook", "TRAIN.HOOKS")


class Hooks(Hook):
    """Several hooks as one, called in their order."""

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self._hooks = tuple(hooks)

    def before_training(self, run: TrainingRun) -> None:
        """Call each hook."""
        for hook in self._hooks:
            hook.before_training(run)

    def after_step(self, run: TrainingRun) -> None:
        """Call each hook."""
        for hook in self._hooks:
            hook.after_step(run)

    def after_save(self, run: TrainingRun) -> None:
        """Call each hook."""
        for hook in self._hooks:
            hook.after_save(run)

    def periodically(self, run: TrainingRun) -> None:
        """Call each hook whose period has passed."""
        due = [hook for hook in self._hooks if hook.period and run.iteration % hook.period == 0]
        for hook in due:
            hook.periodically(run)
        if due:
            run.logger.skip_time()

    def after_training(self, run: TrainingRun) -> None:
        """Call each hook."""
        for hook in self._hooks:
            hook.after_training(run)


def build_hooks(cfg: CfgNode = cfg) -> dict[str, Hook]:
    """Return the hooks of ``TRAIN.HOOKS`` by name, in order; KeyError for an unknown name."""
    return {name: HOOKS[name](cfg) for name in cfg.TRAIN.HOOKS}
