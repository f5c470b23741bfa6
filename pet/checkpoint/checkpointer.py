"""Writing the state of a run to disk, and going on from it."""

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

LATEST = "model_latest.pth"
_ENTRIES = ("model", "optimizer", "optimizer_type", "scheduler", "iteration", "class_names")
# What else a checkpoint of this or an earlier version holds.
_FURTHER_ENTRIES = ("keypoints", "pet_version")


class Checkpointer:
    """Writes ``model_iter{N}.pth`` and ``model_latest.pth`` into a folder, and resumes from it.

    A checkpoint is a dict of ``model``, ``optimizer`` and ``scheduler`` (state dicts),
    ``optimizer_type``, ``iteration``, ``class_names`` (without the background), ``keypoints``
    (``names`` and ``skeleton``, or None), ``pet_version``, and the state of each part that
    ``add_part`` named: tensors and plain types only. A file is whole or not there; a write that
    fails leaves the earlier files as they were. Only the main process writes.
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
        """Let checkpoints hold the state of ``part`` under ``name``, and ``resume`` restore it.

        Raises ValueError where the name is taken, TypeError where ``part`` has no state. A run
        that goes on from a checkpoint without the part says so, and the part starts anew.
        """
        self._parts.add(name, part)

    def is_due(self, iteration: int) -> bool:
        """Whether a checkpoint is to be written after update number ``iteration``, from 1."""
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
        """Write ``model_{infix}{iteration}.pth``, and make it ``model_latest.pth`` too.

        Raises FloatingPointError where a weight is not finite, TypeError where the state of a
        further part could not be read again, and OSError where the disk refuses.
        """
        if not is_main_process():
            return
        state = _unwrap(model).state_dict()
        _check_finite(state, scheduler.iteration)
        content = {
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
        path = self._folder / f"model_{infix}{scheduler.iteration}.pth"
        write_torch_file(content, path)
        if copy_latest:
            with atomic_path(self._folder / LATEST) as temporary:
                _link_or_copy(path, temporary)
        _logger.info("checkpoint of iteration %d written to %s", scheduler.iteration, path)

    def resume(
        self, model: nn.Module, optimizer: Optimizer, scheduler: LearningRateScheduler
    ) -> bool:
        """Go on from ``model_latest.pth``; return False, changing nothing, where there is none.

        Weights, the optimizer's moments, the iteration and the further parts come from the file.
        Learning rate, weight decay and momentum are the present config's. Raises ValueError where
        the file is damaged or of another model; nothing is changed then. It is raised as well where
        a further part refuses its state.
        """
        path = self._folder / LATEST
        if not path.is_file():
            if others := self._snapshots():
                _logger.warning(
                    "%s holds no %s, so the run starts anew; to go on from %s, copy it there",
                    *(self._folder, LATEST, others[0].name),
                )
            return False
        content = self._read(path)
        bare = _unwrap(model)
        points = self._keypoints.names if self._keypoints else ()
        weights = _weights_of_same_model(bare, content, path, self._class_names, points)
        optimizer_state = _with_present_options(optimizer, content, path)
        self._parts.load(content, path)  # ahead of the others, as it may be refused
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
        """Return what to do about a ``path`` that cannot be used."""
        # The snapshot that shares its bytes with the latest is as damaged as that.
        others = [other for other in self._snapshots() if not other.samefile(path)]
        if not others:
            return f"there is no other checkpoint in {self._folder}: delete it to start anew"
        names = ", ".join(other.name for other in others)
        return f"to go on, copy one of {names} over it; to start anew, delete it"

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

    ``class_names`` and what the ``keypoints`` are called are kept in its files.
    """
    solver = cfg.SOLVER
    return Checkpointer(cfg.CKPT, solver.SNAPSHOT_ITERS, solver.MAX_ITER, class_names, keypoints)


def _unwrap(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, DataParallel | DistributedDataParallel) else model


def _check_finite(state: dict[str, Tensor], iteration: int) -> None:
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise FloatingPointError(
                f"{key} is not finite at iteration {iteration}, so no checkpoint is written; lower "
                "SOLVER.BASE_LR, raise SOLVER.WARM_UP_ITERS or set SOLVER.CLIP_GRAD_NORM"
            )


def _link_or_copy(source: Path, target: Path) -> None:
    """Give ``source`` a second name; where the file system cannot, write it a second time."""
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
    """Return the weights of ``content`` for ``model``; ValueError where they are of another one."""
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
    """Return the optimizer's state of ``content`` with the options that ``optimizer`` has now.

    So a run goes on with the weight decay of its config, as it does with the learning rate.
    """
    kind = type(optimizer).__name__
    if content["optimizer_type"] != kind:
        raise ValueError(
            f"{path} was written by the optimizer {content['optimizer_type']}, this run uses "
            f"{kind}; change SOLVER.OPTIMIZER back, or start anew with TRAIN.AUTO_RESUME False"
        )
    saved = content["optimizer"]
    present = optimizer.state_dict()["param_groups"]
    sizes = [len(group["params"]) for group in saved["param_groups"]]
    if sizes != [len(group["params"]) for group in present]:
        raise ValueError(
            f"{path} trained {sum(sizes)} parameters in groups of {sizes}, this run trains others; "
            "set BACKBONE.FREEZE_AT as it was, or start anew with TRAIN.AUTO_RESUME False"
        )
    groups = [
        {**group, "params": old["params"]}
        for group, old in zip(present, saved["param_groups"], strict=True)
    ]
    return {"state": saved["state"], "param_groups": groups}
