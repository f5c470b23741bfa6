"""The first steps of training and testing: the processes, and the keys that the data decide."""

import logging

import torch

from pet.config import CfgNode, freeze
from pet.config.schedule import lr_steps
from pet.launch.processes import get_local_rank, setup_distributed
from pet.logger.training_logger import logging_rank
from pet.solver.schedule import base_lr, set_iterations
from pet.utils.env import resolve_device

_logger = logging.getLogger(__name__)


def join_processes(device_name: str) -> torch.device:
    """Join the process group if a launcher started several; return this process's device."""
    device = resolve_device(device_name)
    if setup_distributed(device.type) and device.type == "cuda":
        return torch.device("cuda", get_local_rank())
    if device.type == "cuda" and device.index is not None:
        # Otherwise the loader, which pins memory, would also use memory of the first GPU.
        torch.cuda.set_device(device)
    return device


def set_num_classes(cfg: CfgNode, num_classes: int) -> None:
    """Write the number of classes, with the background, into the frozen ``cfg``."""
    cfg.defrost()
    cfg.MODEL.NUM_CLASSES = num_classes
    freeze(cfg)


def set_schedule(cfg: CfgNode, images: int) -> None:
    """Write the iterations of ``SOLVER.MAX_EPOCHS`` into the frozen ``cfg``, and log the schedule.

    ``images`` is the number of training images.
    """
    before, steps = cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS
    cfg.defrost()
    set_iterations(cfg, images)
    freeze(cfg)
    solver = cfg.SOLVER
    if solver.LR_POLICY == "STEP" and len(solver.STEPS) < len(steps):
        _logger.warning(
            "SOLVER.STEPS %s count in the %d iterations of SOLVER.MAX_ITER, and of the %d of "
            "SOLVER.MAX_EPOCHS only %d are left; give fractions, such as SOLVER.STEPS 0.6,0.85",
            *(", ".join(f"{step:g}" for step in steps), before, solver.MAX_ITER, len(solver.STEPS)),
        )
    epochs = f"{solver.MAX_EPOCHS} epochs, " if solver.MAX_EPOCHS else ""
    drops = ""
    if solver.LR_POLICY == "STEP" and solver.STEPS:
        drops = f", which falls at iteration {', '.join(map(str, lr_steps(solver)))}"
    logging_rank(
        f"schedule: {epochs}{solver.MAX_ITER} iterations of {cfg.TRAIN.BATCH_SIZE} images, "
        f"learning rate {base_lr(cfg):g}{drops}"
    )


def set_num_keypoints(cfg: CfgNode, num_keypoints: int) -> None:
    """Write the number of points of an object into the frozen ``cfg``."""
    cfg.defrost()
    cfg.KRCNN.NUM_KEYPOINTS = num_keypoints
    freeze(cfg)
