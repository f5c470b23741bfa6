"""A run that has ended: the checkpoint of a tiny random model, and its config."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from pet.checkpoint.checkpointer import build_checkpointer
from pet.modeling.build import build_model
from pet.solver.lr_scheduler import build_lr_scheduler
from pet.solver.optimizer import build_optimizer
from pet.utils.seed import seed_all
from tests.engine.tiny_run import tiny_cfg


def save_run(folder: Path, num_classes: int, class_names: Sequence[str] = ()) -> Path:
    """Write a run into ``folder``/run, and return its config, which leaves the classes open."""
    cfg = tiny_cfg(folder, MODEL__NUM_CLASSES=num_classes, FAST_RCNN__DETECTIONS_PER_IMG=20)
    seed_all(num_classes)
    model = build_model(cfg=cfg)
    optimizer = build_optimizer(model, cfg)
    build_checkpointer(class_names, cfg).save(model, optimizer, build_lr_scheduler(optimizer, cfg))
    content = yaml.safe_load(cfg.dump())
    content["MODEL"]["NUM_CLASSES"] = -1
    path = folder / "cfgs" / "tiny.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(content))
    return path


def picture(height: int = 70, width: int = 90, seed: int = 0) -> np.ndarray:
    """Return a picture of noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
