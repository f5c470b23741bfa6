"""A Mask R-CNN small enough to train and test within a test, on a few drawn shapes."""

from pathlib import Path
from typing import Any

import pytest

from pet.config import CfgNode, default_cfg, freeze, merge_cfg_from_list
from pet.data.datasets import shapes

#: The keys of a tiny run.
TINY: dict[str, Any] = {
    "DEVICE": "cpu",
    "DISPLAY_ITER": 2,
    "MODEL.CONV_BODY": "resnet18_1x64d",
    "MODEL.MASK_ON": True,
    "MODEL.BATCH_NORM": "bn",
    "BACKBONE.FREEZE_AT": 0,
    "FPN.FPN_ON": True,
    "FPN.DIM": 16,
    "RPN.ANCHOR_SIZES": (16, 32, 64, 128, 256),
    "RPN.POST_NMS_TOP_N_TRAIN": 50,
    "RPN.POST_NMS_TOP_N_TEST": 30,
    "FAST_RCNN.MLP_HEAD_DIM": 32,
    "RPN.BATCH_SIZE_PER_IMAGE": 32,
    "FAST_RCNN.BATCH_SIZE_PER_IMAGE": 16,
    "FAST_RCNN.SCORE_THRESH": 0.0,
    "MRCNN.CONV_DIM": 16,
    "MRCNN.NUM_CONVS": 1,
    "SOLVER.BASE_LR": 0.01,
    "SOLVER.MAX_ITER": 4,
    "SOLVER.STEPS": (),
    "SOLVER.WARM_UP_ITERS": 2,
    "SOLVER.SNAPSHOT_ITERS": 2,
    "TRAIN.DATASETS": ("shapes_train",),
    "TRAIN.SCALES": (64,),
    "TRAIN.MAX_SIZE": 96,
    "TRAIN.BATCH_SIZE": 2,
    "TRAIN.LOADER_THREADS": 0,
    "TEST.DATASETS": ("shapes_val",),
    "TEST.SCALE": 64,
    "TEST.MAX_SIZE": 96,
    "TEST.LOADER_THREADS": 0,
}


def draw_few_shapes(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """Draw a handful of shapes into ``data_dir``, in place of the hundreds of a real run."""
    monkeypatch.setattr(shapes, "PICTURES", {"train": 6, "val": 5})
    shapes.draw_shapes(data_dir)


def tiny_cfg(folder: Path, **changes: Any) -> CfgNode:
    """Return a frozen config of a tiny run in ``folder``/run; ``changes`` as SECTION__KEY."""
    node = default_cfg()
    values = TINY | {"DATA_DIR": str(folder / "data"), "CKPT": str(folder / "run")}
    values |= {key.replace("__", "."): value for key, value in changes.items()}
    merge_cfg_from_list([item for pair in values.items() for item in pair], node)
    freeze(node)
    return node
