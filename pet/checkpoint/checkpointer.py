"""Saving the state of a run to disk and resuming from it."""

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim import Optimizer

from pet import __version__
from pet.checkpoint.parts import CheckpointParts, Stateful
from pet.config import CfgNode, cfg
from pet.solver.lr_scheduler import LearningRateScheduler
from pet.structures import KeypointLayout
from pet.utils.comm import is_main_process
from pet.utils.files import atomic_path
from pet.weights.load import compare, copy_into
from pet.weights.torch_file import read_torch_file, write_torch_file

_logger = logging.getLogger(__name__)

LATEST, BEST = "model_latest.pth", "model_best.pth"
_ENTRIES = ("model", "optimizer", "optimizer_type", "scheduler", "iteration", "class_names")
# Further entries in checkpoints of this or earlier versions.
_FURTHER_ENTRIES = ("keypoints", "pet_version")


class Checkpointer:
    """Writes ``model_iter{N}.pth``, ``model_latest.pth`` and ``model_best.pth``, and resumes a run.

    A checkpoint is a dict of ``model``, ``optimizer`` and ``scheduler`` (state dicts),
    ``optimizer_type``, ``iteration``, ``class_names`` (without the background), ``keypoints``
    (``names`` and ``skeleton``, or None), ``pet_version``, and the state of each part added with
    ``add_part``: tensors and plain types only. Writes are atomic: a failed write leaves earlier
    files unchanged. Only the main process writes.
    """

    def __init__(
        self,
        folder: str | Path,
        snapshot_iters: int = 0,
        max_iter: int = 0,
        class_names: Sequence[str] = (),
        keypoints: KeypointLayout | None = None,
    ) -> None:
        """Save every ``snapshot_iters`` iterations (0: never) and at iteration ``max_iter``."""
        self._folder = Path(folder)
        self._snapshot_iters, self._max_iter = snapshot_iters, max_iter
        self._class_names = tuple(class_names)
        self._keypoints = keypoints
        self._parts = CheckpointParts(frozenset((*_ENTRIES, *_FURTHER_ENTRIES)))

    def add_part(self, name: str, part: Stateful) -> None:
        """Save the state of ``part`` in checkpoints under ``name``, and restore it in ``resume``.

        Raises ValueError if the name is taken, and TypeError if ``part`` has no state dict. If a
        checkpoint does not have the part, ``resume`` warns and leaves the part unchanged.
        """
        self._parts.add(name, part)

    def is_due(self, iteration: int) -> bool:
        """Whether to write a checkpoint after update number ``iteration``, counted from 1."""
        if iteration == self._max_iter:
            return True
        return self._snapshot_iters > 0 and iteration % self._snapshot_iters == 0

    def save(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        scheduler: LearningRateScheduler,
        copy_latest: bool = True,
        infix: str = "iter",
    ) -> None:
        """Write ``model_{infix}{iteration}.pth`` and, if ``copy_latest``, ``model_latest.pth``.

        Raises FloatingPointError if a weight is not finite, TypeError if the state of a further
        part has unsupported types, and OSError if writing fails.
        """
        if not is_main_process():
            return
        path = self._folder / f"model_{infix}{scheduler.iteration}.pth"
        write_torch_file(self._content(model, optimizer, scheduler), path)
        if copy_latest:
            with atomic_path(self._folder / LATEST) as temporary:
                _link_or_copy(path, temporary)
        _logger.info("checkpoint of iteration %d written to %s", scheduler.iteration, path)

    def save_best(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        scheduler: LearningRateScheduler,
        is_latest: bool = False,
    ) -> None:
        """Write ``model_best.pth``, a checkpoint like those of ``save``, which raises the same.

        If it ``is_latest``, ``model_iter{iteration}.pth`` and ``model_latest.pth`` become copies of
        it: after it, so that none of them tells of a best one that there is not.
        """
        if not is_main_process():
            return
        write_torch_file(self._content(model, optimizer, scheduler), self._folder / BEST)
        copies = (f"model_iter{scheduler.iteration}.pth", LATEST) if is_latest else ()
        for name in copies:
            with atomic_path(self._folder / name) as temporary:
                _link_or_copy(self._folder / BEST, temporary)

    def _content(
        self, model: nn.Module, optimizer: Optimizer, scheduler: LearningRateScheduler
    ) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        state = unwrap(model).state_dict()
        _check_finite(state, scheduler.iteration)
        return {
            "model": state,
            "optimizer": optimizer.state_dict(),
            "optimizer_type": type(optimizer).__name__,
            "scheduler": scheduler.state_dict(),
            "iteration": scheduler.iteration,
            "class_names": list(self._class_names),
            "keypoints": asdict(self._keypoints) if self._keypoints else None,
            "pet_version": __version__,
            **self._parts.state(),
        }

    def resume(
        self, model: nn.Module, optimizer: Optimizer, scheduler: LearningRateScheduler
    ) -> bool:
        """Resume from ``model_latest.pth``; return False and change nothing if there is none.

        Weights, the optimizer's state, the iteration and the further parts come from the file.
        Learning rate, weight decay and momentum come from the current config. Raises ValueError if
        the file is damaged or of another model, and then changes nothing; also if a further part
        rejects its state.
        """
        path = self._folder / LATEST
        if not path.is_file():
            if others := self._snapshots():
                _logger.warning(
                    "%s holds no %s, so the run starts from the beginning; to go on from %s, copy "
                    "it there",
                    *(self._folder, LATEST, others[0].name),
                )
            return False
        content = self._read(path)
        bare = unwrap(model)
        points = self._keypoints.names if self._keypoints else ()
        weights = _weights_of_same_model(bare, content, path, self._class_names, points)
        optimizer_state = _with_present_options(optimizer, content, path)
        self._parts.load(content, path)  # first, as it may be rejected
        copy_into(bare, weights)
        optimizer.load_state_dict(optimizer_state)
        scheduler.load_state_dict(content["scheduler"])
        _logger.info(
            "resumed from %s at iteration %d, learning rate %.6f",
            *(path, scheduler.iteration, scheduler.new_lr),
        )
        return True

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            content = read_torch_file(path)
        except ValueError as error:
            raise ValueError(f"{error}; {self._advice(path)}") from None
        lacking = [key for key in _ENTRIES if not isinstance(content, dict) or key not in content]
        if lacking:
            raise ValueError(
                f"{path} is no checkpoint to go on from, it has no {', '.join(lacking)}; "
                f"{self._advice(path)}; to start from its weights, give it as TRAIN.WEIGHTS"
            )
        return content

    def _advice(self, path: Path) -> str:
        """Return advice for a checkpoint ``path`` that cannot be used."""
        # The snapshot that is a hard link to the latest is damaged, too.
        others = [other for other in self._snapshots() if not other.samefile(path)]
        if not others:
            return (
                f"there is no other checkpoint in {self._folder}: delete it to start from the "
                "beginning"
            )
        names = ", ".join(other.name for other in others)
        return f"to go on, copy one of {names} over it; to start from the beginning, delete it"

    def _snapshots(self) -> list[Path]:
        """Return the numbered checkpoints of the folder, latest first."""
        paths = (path for path in self._folder.glob("model_iter*.pth"))
        numbered = [path for path in paths if path.stem.removeprefix("model_iter").isdigit()]
        return sorted(numbered, key=lambda p: int(p.stem.removeprefix("model_iter")), reverse=True)


def build_checkpointer(
    class_names: Sequence[str] = (),
    cfg: CfgNode = cfg,
    keypoints: KeypointLayout | None = None,
) -> Checkpointer:
    """Return the checkpointer of the run in CKPT.

    Its files contain ``class_names`` and the names and limbs of ``keypoints``.
    """
    solver = cfg.SOLVER
    return Checkpointer(cfg.CKPT, solver.SNAPSHOT_ITERS, solver.MAX_ITER, class_names, keypoints)


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model itself of a wrapper for several devices or processes."""
    return model.module if isinstance(model, DataParallel | DistributedDataParallel) else model


def _check_finite(state: dict[str, Tensor], iteration: int) -> None:
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise FloatingPointError(
                f"{key} is not finite at iteration {iteration}, so no checkpoint is written; lower "
                "SOLVER.BASE_LR, raise SOLVER.WARM_UP_ITERS or set SOLVER.CLIP_GRAD_NORM"
            )


def _link_or_copy(source: Path, target: Path) -> None:
    """Make ``target`` a hard link to ``source``, or a copy if the file system has no links."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _weights_of_same_model(
    model: nn.Module,
    content: dict[str, Any],
    path: Path,
    class_names: tuple[str, ...],
    keypoints: tuple[str, ...],
) -> dict[str, Tensor]:
    """Return the weights of ``content`` for ``model``; ValueError if they are of another model."""
    advice = (
        "give this run a CKPT of its own, or TRAIN.AUTO_RESUME False to overwrite that one; to "
        "start from the file's weights, give it as TRAIN.WEIGHTS"
    )
    report = compare(model.state_dict(), content["model"], str(path))
    if report.skipped or report.missing or report.mismatched:
        raise ValueError(f"{path} is of another model; {advice}\n{report}")
    saved_points = (content.get("keypoints") or {}).get("names", ())
    for what, saved, present in (
        ("classes", tuple(content["class_names"]), class_names),
        ("keypoints", tuple(saved_points), keypoints),
    ):
        if saved and present and saved != present:
            raise ValueError(
                f"{path} was trained for the {what} {', '.join(saved)}; this run has "
                f"{', '.join(present)}; {advice}"
            )
    return {key: content["model"][key] for key in report.loaded}


def _with_present_options(
    optimizer: Optimizer, content: dict[str, Any], path: Path
) -> dict[str, Any]:
    """Return the optimizer state of ``content`` with the options of the current ``optimizer``.

    So a resumed run uses the weight decay and learning rate of its config.
    """
    kind = type(optimizer).__name__
    if content["optimizer_type"] != kind:
        raise ValueError(
            f"{path} was written by the optimizer {content['optimizer_type']}, this run uses "
            f"{kind}; change SOLVER.OPTIMIZER back, or start from the beginning with "
            "TRAIN.AUTO_RESUME False"
        )
    saved = content["optimizer"]
    present = optimizer.state_dict()["param_groups"]
    sizes = [len(group["params"]) for group in saved["param_groups"]]
    if sizes != [len(group["params"]) for group in present]:
        raise ValueError(
            f"{path} trained {sum(sizes)} parameters in groups of {sizes}, this run trains others; "
            "set BACKBONE.FREEZE_AT as it was, or start from the beginning with TRAIN.AUTO_RESUME "
            "False"
        )
    groups = [
        {**group, "params": old["params"]}
        for group, old in zip(present, saved["param_groups"], strict=True)
    ]
    return {"state": saved["state"], "param_groups": groups}
