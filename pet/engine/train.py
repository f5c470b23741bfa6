"""Training: the loop, and a whole run from a config."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from pet.checkpoint.checkpointer import LATEST, Checkpointer, build_checkpointer
from pet.checkpoint.parts import Stateful
from pet.config import CfgNode, cfg
from pet.data.build import (
    build_dataset,
    make_train_data_loader,
    resolve_num_classes,
    resolve_num_keypoints,
)
from pet.data.collate import TrainBatch
from pet.data.dataset import Dataset
from pet.engine.data_check.before_training import warn_of_data
from pet.engine.hooks import Hook, Hooks, TrainingRun, build_hooks
from pet.engine.interrupt import Interrupt, catching_interrupts
from pet.engine.scoring import SCORING, Scoring, build_scoring, check_scoring
from pet.engine.start import join_processes, set_num_classes, set_num_keypoints, set_schedule
from pet.evaluation.oks import warn_of_sigmas
from pet.logger.training_logger import TrainingLogger, build_logger, logging_rank, setup_logging
from pet.modeling.abilities import check_abilities
from pet.modeling.build import build_model
from pet.modeling.contract import CompilesDense
from pet.solver.lr_scheduler import LearningRateScheduler, build_lr_scheduler
from pet.solver.optimizer import build_optimizer
from pet.structures import ImageList, Targets
from pet.structures.class_names import UNUSED_CLASS
from pet.utils import comm
from pet.utils.autocast import autocast
from pet.utils.env import describe_env
from pet.utils.files import atomic_path
from pet.utils.seed import mix_seeds, seed_all
from pet.weights.load import load_weights, require_weights

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The settings of the training steps, and the hook that runs between them."""

    # The random numbers of a step depend only on the seed, the iteration and the process, so that a
    # resumed run repeats the steps of an uninterrupted one.
    seed: int = 0
    clip_grad_norm: float = 0.0  # gradients are scaled down to this total L2 norm; 0: never
    precision: str = "float32"  # of the forward pass, as in TRAIN.PRECISION
    hook: Hook = field(default_factory=Hook)  # of several: ``Hooks``
    interrupt: Interrupt | None = None  # of Ctrl-C, for hooks that work for long


def train(
    model: nn.Module,
    loader: Iterable[TrainBatch],
    optimizer: Optimizer,
    scheduler: LearningRateScheduler,
    checkpointer: Checkpointer,
    logger: TrainingLogger,
    options: TrainingOptions | None = None,
) -> TrainingRun:
    """Train ``model`` on every batch of ``loader``, from ``scheduler.iteration`` on.

    Returns the run, as its hook saw it.
    """
    options = options or TrainingOptions()
    hook = options.hook
    run = TrainingRun(
        model, optimizer, scheduler, checkpointer, logger, interrupt=options.interrupt
    )
    hook.before_training(run)
    model.train()
    device = next(model.parameters()).device
    steps = enumerate(run.until_stopped(loader), scheduler.iteration)
    for iteration, (images, targets, _) in steps:
        logger.iter_tic()
        logger.data_tic()
        seed_all(mix_seeds(options.seed, iteration, comm.get_rank()))
        scheduler.step()  # the learning rate of this step
        images = images.to(device, non_blocking=True)
        targets = [target.to(device, non_blocking=True) for target in targets]
        logger.data_toc()

        run.outputs = update(
            model, images, targets, optimizer, options.clip_grad_norm, options.precision
        )
        hook.after_step(run)

        logger.update_stats(run.outputs, comm.is_distributed(), comm.get_world_size())
        logger.log_stats(scheduler.iteration, scheduler.new_lr)
        if checkpointer.is_due(scheduler.iteration):
            logger.check_finite()
            checkpointer.save(model, optimizer, scheduler, copy_latest=True, infix="iter")
            hook.after_save(run)
        logger.iter_toc()
        hook.periodically(run)
    hook.after_training(run)
    return run


def update(
    model: nn.Module,
    images: ImageList,
    targets: Sequence[Targets],
    optimizer: Optimizer,
    clip_grad_norm: float = 0.0,
    precision: str = "float32",
) -> dict[str, Any]:
    """Take one step on a batch on the model's device, and return the model's outputs."""
    optimizer.zero_grad(set_to_none=True)
    with autocast(images.tensor.device, precision):
        outputs = model(images, targets)
    outputs["total_loss"].backward()
    if clip_grad_norm:
        nn.utils.clip_grad_norm_(model.parameters(), clip_grad_norm)
    optimizer.step()
    return outputs


def run_training(config_name: str, cfg: CfgNode = cfg) -> None:
    """Train the model that ``cfg`` describes, from data set to checkpoints in ``cfg.CKPT``.

    ``config_name`` is the name of the config file, for the log. With ``TRAIN.AUTO_RESUME`` it
    continues from the folder's latest checkpoint. Bad input raises ValueError, KeyError or
    FileNotFoundError before the first step. On Ctrl-C the step ends, a checkpoint is written, and
    KeyboardInterrupt is raised; a second Ctrl-C raises it at once.
    """
    device = join_processes(cfg.DEVICE)
    folder = Path(cfg.CKPT)
    setup_logging(folder)
    logging_rank(f"{describe_env()}\nrunning on {device}, {comm.get_world_size()} process(es)")

    hooks = build_hooks(cfg)
    resumes = cfg.TRAIN.AUTO_RESUME and (folder / LATEST).is_file()
    _check_start(cfg, resumes)
    check_abilities(cfg, "training")
    datasets = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)
    set_num_classes(cfg, resolve_num_classes(datasets, cfg))
    if datasets.keypoint_layout is not None:
        set_num_keypoints(cfg, resolve_num_keypoints(datasets, cfg))
        warn_of_sigmas(cfg.KRCNN.NUM_KEYPOINTS, cfg.KRCNN.SIGMAS)
    names = [name for name in datasets.class_names if name != UNUSED_CLASS]
    logging_rank(f"{len(datasets)} training images, classes: {', '.join(names)}")
    set_schedule(cfg, len(datasets))

    scoring = build_scoring(datasets.class_names, cfg)
    if scoring is not None:
        hooks[SCORING] = scoring
    model, optimizer, scheduler, checkpointer = _start(cfg, datasets, device, hooks, resumes)
    if scoring is not None:
        scoring.check_model(model)
    if ended := _why_ended(scheduler.iteration, scoring, cfg):
        logging_rank(ended)
        return

    loader = make_train_data_loader(
        datasets, is_distributed=comm.is_distributed(), start_iter=scheduler.iteration, cfg=cfg
    )
    if comm.is_main_process():
        # Only now, so that a failed start does not replace the config of an earlier run.
        with atomic_path(folder / "config.yaml") as path:
            path.write_text(cfg.dump(), encoding="utf-8")
        warn_of_data(datasets, cfg)
    logging_rank("Training starts !")
    start_iter, hook = scheduler.iteration, Hooks(hooks.values())
    with (
        build_logger(config_name, start_iter, cfg) as logger,
        catching_interrupts(device) as interrupt,
    ):
        run = train(
            _parallel(model, device),
            interrupt.until(loader),
            optimizer,
            scheduler,
            checkpointer,
            logger,
            TrainingOptions(
                seed=cfg.SEED,
                clip_grad_norm=cfg.SOLVER.CLIP_GRAD_NORM,
                precision=cfg.TRAIN.PRECISION,
                hook=hook,
                interrupt=interrupt,
            ),
        )
        if (interrupt.ended or run.stopped) and scheduler.iteration > start_iter:
            if not checkpointer.is_due(scheduler.iteration):
                logger.check_finite()
                checkpointer.save(model, optimizer, scheduler)
                hook.after_save(run)
            comm.synchronize()  # or a launcher would end the process that is still writing
    if run.stopped:
        logging_rank(run.stopped)
    _conclude(interrupt, start_iter, scheduler.iteration, cfg)


def _why_ended(iteration: int, scoring: Scoring | None, cfg: CfgNode) -> str:
    """Return why a run that is at ``iteration`` has no step left, or ""."""
    if scoring is not None and scoring.owes(iteration):
        return ""
    if iteration >= cfg.SOLVER.MAX_ITER:
        length = "MAX_EPOCHS" if cfg.SOLVER.MAX_EPOCHS else "MAX_ITER"
        return (
            f"{cfg.CKPT} already holds a run of {iteration} iterations; for a new one give another "
            f"CKPT, for a longer one a larger SOLVER.{length}"
        )
    reason = scoring.why_stopped() if scoring is not None else ""
    advice = "to train on, give a larger SOLVER.EARLY_STOP, or 0; for a new run another CKPT"
    return f"{reason}; {advice}" if reason else ""


def _start(
    cfg: CfgNode, datasets: Dataset, device: torch.device, hooks: Mapping[str, Hook], resumes: bool
) -> tuple[nn.Module, Optimizer, LearningRateScheduler, Checkpointer]:
    """Return the model and the other states of a new or resumed run."""
    seed_all(cfg.SEED)
    model = build_model(device, cfg)
    check_abilities(cfg, "training", model)
    if cfg.SOLVER.COMPILE:
        _compile(model)
    optimizer = build_optimizer(model, cfg)
    scheduler = build_lr_scheduler(optimizer, cfg)
    checkpointer = build_checkpointer(datasets.class_names, cfg, datasets.keypoint_layout)
    for name, hook in hooks.items():
        if isinstance(hook, Stateful):
            checkpointer.add_part(name, hook)
    if cfg.TRAIN.AUTO_RESUME:
        checkpointer.resume(model, optimizer, scheduler)
    if not resumes and cfg.TRAIN.WEIGHTS:
        load_weights(
            model,
            cfg.TRAIN.WEIGHTS,
            cfg.TRAIN.REINIT_MISMATCHED,
            cfg=cfg,
            class_names=datasets.class_names,
            keypoints=datasets.keypoint_layout,
        )
    return model, optimizer, scheduler, checkpointer


def _conclude(interrupt: Interrupt, start_iter: int, iteration: int, cfg: CfgNode) -> None:
    """Log that training is done; raise KeyboardInterrupt if Ctrl-C was pressed."""
    latest = Path(cfg.CKPT) / LATEST
    if interrupt.ended and iteration == start_iter:
        raise KeyboardInterrupt("interrupted before the first step")
    if interrupt.ended and iteration < cfg.SOLVER.MAX_ITER:
        how = "" if cfg.TRAIN.AUTO_RESUME else ", with TRAIN.AUTO_RESUME True,"
        raise KeyboardInterrupt(
            f"interrupted at iteration {iteration}; the checkpoint is {latest}; the same "
            f"command{how} goes on from there"
        )
    logging_rank(f"Training done ! The weights are {latest}")
    if interrupt.came:
        raise KeyboardInterrupt(f"interrupted when training was done; the weights are {latest}")


def _check_start(cfg: CfgNode, resumes: bool) -> None:
    """Find missing weights before data is read; log weights that are not read, or never trained.

    Also check the keys of scoring.
    """
    check_scoring(cfg)
    if resumes and cfg.TRAIN.WEIGHTS:
        logging_rank(
            f"going on with the run in {cfg.CKPT}, so TRAIN.WEIGHTS is not read; for a new run "
            "give another CKPT, or TRAIN.AUTO_RESUME False"
        )
    elif cfg.TRAIN.WEIGHTS:
        require_weights(cfg.TRAIN.WEIGHTS, "TRAIN.WEIGHTS")
    elif not resumes and (cfg.MODEL.BATCH_NORM == "freeze" or cfg.BACKBONE.FREEZE_AT):
        _logger.warning(
            "TRAIN.WEIGHTS is empty, so the trunk starts from random weights, but its norms or "
            "first stages are never trained; from random weights give MODEL.BATCH_NORM bn and "
            "BACKBONE.FREEZE_AT 0"
        )


def _compile(model: nn.Module) -> None:
    assert isinstance(model, CompilesDense)
    model.compile_dense()


def _parallel(model: nn.Module, device: torch.device) -> nn.Module:
    if not comm.is_distributed():
        return model
    if device.type == "cpu" and any(isinstance(m, nn.SyncBatchNorm) for m in model.modules()):
        raise ValueError(
            'norms over all processes ("syncbn", for MODEL.BATCH_NORM, FPN.NORM and those of the '
            "heads) need a GPU for each process; on the CPU give bn, or train in one process"
        )
    device_ids = [device] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=device_ids)
