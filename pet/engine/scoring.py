"""Scoring while training: the hook that tests the weights of a run every so many iterations."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pet.checkpoint.checkpointer import BEST, unwrap
from pet.config import CfgNode
from pet.data.build import resolve_num_keypoints
from pet.engine.attempt import INTERRUPTED, attempt
from pet.engine.augmentation import with_augmentation
from pet.engine.best_score import BestScore, best_key
from pet.engine.eval_set import EvalSet, own_scores, read_eval_set
from pet.engine.hooks import Hook, TrainingRun
from pet.engine.inference import Share, score_shares, write_share
from pet.engine.mean_loss import MeanLoss
from pet.evaluation.coco import FIGURES
from pet.evaluation.lvis import FIGURES as LVIS_FIGURES
from pet.evaluation.oks import check_sigmas
from pet.evaluation.score_files import (
    KINDS,
    Metrics,
    add_line,
    cut_lines,
    figures_of,
    format_line,
    line_file,
)
from pet.modeling.abilities import check_abilities
from pet.modeling.build import build_model
from pet.utils import comm
from pet.utils.seed import kept_random_state
from pet.weights.load import copy_into

_logger = logging.getLogger(__name__)

#: The name of the hook's state in checkpoints.
SCORING = "scoring"
_FOLDER = "val"  # of the results, in CKPT; "test" has those of test_net.py

Scores = Mapping[str, Mapping[str, Metrics]]  # by data set and kind of result


class Scoring(Hook):
    """Scores a run on ``sets``, keeps its best weights, and ends it when they gain no more.

    The weights are tested in a model of their own, as ``test_net.py`` does it: the model in
    training is not touched, and the random state is the same afterwards. An error in a scoring is
    logged, and training goes on.
    """

    def __init__(self, sets: Sequence[EvalSet], cfg: CfgNode) -> None:
        """``cfg`` is that of the run: its keys of ``TEST``, and ``SOLVER.EARLY_STOP``."""
        self.period = cfg.TEST.EVAL_PERIOD
        self.best = BestScore(best_key(cfg))
        self._sets, self._cfg = tuple(sets), cfg
        self._patience, self._max_iter = cfg.SOLVER.EARLY_STOP, cfg.SOLVER.MAX_ITER
        self._folder, self._losses = Path(cfg.CKPT), MeanLoss()
        self._start = 0  # iteration at which the run started or was resumed
        self._tried = 0  # iteration of the last scoring, even if it failed

    def state_dict(self) -> dict[str, Any]:
        """Return the best score and the sum of the losses since the last scoring."""
        return {"best": self.best.state_dict(), "losses": self._losses.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a ``state_dict``; without its best score if TEST.BEST_KEY differs."""
        if state["best"]["key"] != self.best.key:
            _logger.info(
                "the best so far was that of %s, and this run's is that of %s: it is dropped",
                *(state["best"]["key"], self.best.key),
            )
        self.best = self.best.restored(state["best"])
        self._losses.load_state_dict(state["losses"])

    def check_model(self, model: nn.Module) -> None:
        """Raise ValueError if ``model`` cannot be tested as the keys of ``TEST`` ask."""
        check_abilities(self._cfg, "testing", model)
        for tested in self._sets:
            with_augmentation(model, self._cfg, tested.data.keypoint_layout)

    def owes(self, iteration: int) -> bool:
        """Whether the weights of ``iteration`` are due for a scoring that did not come about."""
        is_due = iteration % self.period == 0 or iteration == self._max_iter
        return iteration > 0 and is_due and self.best.iteration != iteration

    def why_stopped(self) -> str:
        """Return why the run ends before its last step, or "" if it goes on."""
        best = self.best
        if not self._patience or best.without_gain < self._patience:
            return ""
        return (
            f"training stopped early, after the scoring of iteration {best.iteration}: "
            f"{best.without_gain} scorings in a row (SOLVER.EARLY_STOP {self._patience}) gave no "
            f"higher {best.key} than {best.figure:.4f} at iteration {best.at}"
        )

    def before_training(self, run: TrainingRun) -> None:
        """Drop the lines of later iterations, and make up for a scoring that a stop prevented."""
        self._start = run.iteration
        if comm.is_main_process():
            for name in self._names():
                for kind in KINDS:
                    cut_lines(line_file(self._folder, kind, name), self._start)
        if self.owes(run.iteration):
            self._score(run)

    def after_step(self, run: TrainingRun) -> None:
        """Add the loss."""
        self._losses.add(run.outputs["total_loss"])
        if run.checkpointer.is_due(run.iteration):
            self._losses.join()

    def periodically(self, run: TrainingRun) -> None:
        """Score."""
        self._score(run)

    def after_training(self, run: TrainingRun) -> None:
        """Score the last weights, unless that is done."""
        self._losses.join()  # for the checkpoint that Ctrl-C leaves
        if run.iteration == self._max_iter != self._tried and self.owes(run.iteration):
            self._score(run)

    def _names(self) -> Mapping[str, str]:
        """Return the names in file names -> the names of the data sets."""
        names = [tested.name for tested in self._sets]
        return {name if len(names) > 1 else "": name for name in names}

    def _score(self, run: TrainingRun) -> None:
        """Score the weights of ``run``; all processes call this, and leave it with one state."""
        self._tried = run.iteration
        before, device = self.best, next(run.model.parameters()).device
        self._losses.join()
        troubles = attempt(lambda: None, run.interrupt, device)
        if not any(troubles):
            weights = _weights_of_main(run.model)
            troubles = attempt(lambda: self._detect(weights, device), run.interrupt, device)
        figure = torch.zeros(1, dtype=torch.float64)
        if not any(troubles):
            troubles = attempt(lambda: self._evaluate(run, figure), run.interrupt, device)
        if not any(troubles):
            self.best = before.after(run.iteration, comm.from_main(figure.to(device)).item())
            losses, self._losses = self._losses, MeanLoss()
            troubles = attempt(lambda: self._save(run), run.interrupt, device)
            if any(troubles):
                self.best, self._losses = before, losses
        if any(troubles):
            self._give_up(run, troubles)
        elif run.iteration < self._max_iter and (reason := self.why_stopped()):
            run.stop(reason)

    def _detect(self, weights: Mapping[str, Tensor], device: torch.device) -> None:
        """Write this process's share of the results of ``weights``."""
        threads = torch.get_num_threads()
        try:
            with kept_random_state(device):
                model = build_model(device, self._cfg)
                copy_into(model, weights)
                write_share(model, self._sets, self._share(), self._cfg)
        finally:
            torch.set_num_threads(threads)

    def _share(self) -> Share:
        folder, rank = self._folder / _FOLDER, comm.get_rank()
        return Share(folder=folder, rank=rank, world_size=comm.get_world_size())

    def _evaluate(self, run: TrainingRun, figure: Tensor) -> None:
        """In the main process, evaluate and write the scores, and put the one that counts in place.

        ``figure`` is (1,) float64.
        """
        if not comm.is_main_process():
            return
        scores: Scores = score_shares(self._sets, self._share(), self._cfg)
        lr, loss = run.scheduler.new_lr, self._losses.mean
        for file_name, name in self._names().items():
            for kind, metrics in scores[name].items():
                line = format_line(run.iteration, metrics, loss, lr)
                add_line(line_file(self._folder, kind, file_name), run.iteration, line)
        values = {
            f"val/{name}/{kind}/{key}": value
            for name, by_kind in scores.items()
            for kind, metrics in by_kind.items()
            for key, value in figures_of(metrics).items()
        }
        run.logger.log_scores(run.iteration, values)
        figure[0] = values[f"val/{self.best.key}"]

    def _save(self, run: TrainingRun) -> None:
        """Write the best checkpoint, and that of this iteration again, now with the scores."""
        best, parts = self.best, (run.model, run.optimizer, run.scheduler)
        is_latest = run.checkpointer.is_due(run.iteration) or run.iteration == self._start
        if best.at == run.iteration:
            run.checkpointer.save_best(*parts, is_latest=is_latest)
        elif is_latest:
            run.checkpointer.save(*parts)
        if best.at == run.iteration:
            _logger.info(
                "the best %s so far is %.4f, at iteration %d: these weights are %s",
                *(best.key, best.figure, best.at, self._folder / BEST),
            )
        elif best.figure < 0:
            _logger.warning(
                "%s is -1, as the data set has no such objects; name another figure in "
                "TEST.BEST_KEY, or no weights are kept as the best",
                best.key,
            )
        else:
            _logger.info(
                "the best %s stays %.4f, of iteration %d: %s",
                *(best.key, best.figure, best.at, self._folder / BEST),
            )

    def _give_up(self, run: TrainingRun, troubles: Sequence[str]) -> None:
        """Log why a scoring ended, remove what it left, and end the run if it was Ctrl-C."""
        if INTERRUPTED in troubles and run.interrupt is not None:
            run.interrupt.end()
        if not comm.is_main_process():
            return
        for tested in self._sets:
            for shard in self._share().shards(tested.name):
                shard.unlink(missing_ok=True)
        if INTERRUPTED in troubles:
            _logger.info(
                "the scoring of iteration %d was interrupted; a resumed run makes up for it",
                run.iteration,
            )
            return
        many = len(troubles) > 1
        said = [f"process {n}: {text}" if many else text for n, text in enumerate(troubles) if text]
        _logger.error(
            "the scoring of iteration %d failed, and training goes on: %s; test_net.py scores a "
            "checkpoint later",
            *(run.iteration, "; ".join(said)),
        )


def _weights_of_main(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of ``model`` that rank 0 would save; all processes call this.

    A norm that is trained has statistics of its own in each process.
    """
    bare = unwrap(model)
    state = bare.state_dict()
    own = {name for name, _ in bare.named_buffers()}
    return {key: comm.from_main(value) if key in own else value for key, value in state.items()}


def check_scoring(cfg: CfgNode) -> None:
    """Raise ValueError if the keys of scoring contradict each other; no data is read."""
    if not cfg.TEST.EVAL_PERIOD:
        return
    if not cfg.TEST.DATASETS:
        raise ValueError(
            f"TEST.EVAL_PERIOD {cfg.TEST.EVAL_PERIOD} asks for scorings, but TEST.DATASETS names "
            "no data set to score on; name one, or give TEST.EVAL_PERIOD 0"
        )
    if SCORING in cfg.TRAIN.HOOKS:
        raise ValueError(
            f"a hook of TRAIN.HOOKS has the name {SCORING!r} of Pet's own, which TEST.EVAL_PERIOD "
            "switches on; register it under another name"
        )
    check_abilities(cfg, "testing")
    best_key(cfg)


def build_scoring(class_names: Sequence[str], cfg: CfgNode) -> Scoring | None:
    """Return the hook that scores a run, or None without ``TEST.EVAL_PERIOD``.

    ``class_names`` are those that the model is trained for. Reads all of ``TEST.DATASETS``, and
    raises KeyError, FileNotFoundError or ValueError for all that a scoring could not do with.
    """
    check_scoring(cfg)
    if not cfg.TEST.EVAL_PERIOD:
        if cfg.SOLVER.EARLY_STOP:
            raise ValueError(
                f"SOLVER.EARLY_STOP {cfg.SOLVER.EARLY_STOP} counts scorings, and with "
                "TEST.EVAL_PERIOD 0 there are none; give both, or SOLVER.EARLY_STOP 0"
            )
        return None
    sets = [read_eval_set(name, class_names, cfg) for name in cfg.TEST.DATASETS]
    for tested in sets:
        if not tested.truth.has_annotations:
            raise ValueError(
                f"{tested.truth.file} has no annotations, so that {tested.name} cannot be scored "
                "on while training; leave it out of TEST.DATASETS, or give TEST.EVAL_PERIOD 0"
            )
        if tested.data.keypoint_layout is not None:
            check_sigmas(resolve_num_keypoints(tested.data, cfg), cfg.KRCNN.SIGMAS)
        _check_figure(tested, best_key(cfg))
    return Scoring(sets, cfg)


def _check_figure(tested: EvalSet, key: str) -> None:
    """Raise ValueError if ``key`` is a figure of COCO, and the set is scored by LVIS without it."""
    name, _, figure = key.rsplit("/", 2)
    if name == tested.name and "lvis" in own_scores(tested.data) and figure not in LVIS_FIGURES:
        raise ValueError(
            f"TEST.BEST_KEY {key}: {name} is scored by LVIS's rules, without {figure}; give one of "
            f"{', '.join(each for each in LVIS_FIGURES if each in FIGURES)}"
        )
