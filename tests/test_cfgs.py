"""Every YAML under cfgs/ is a model that trains, resumes and tests.

Each is built as it stands, without its weights. Then it is made small; what is left are the parts
that the YAML puts together, and how: that is tested.
"""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pet.checkpoint.checkpointer import build_checkpointer
from pet.config import CfgNode, default_cfg, freeze, merge_cfg_from_file
from pet.data.build import build_dataset, make_test_data_loader, make_train_data_loader
from pet.engine.inference import detect
from pet.evaluation.results import image_results
from pet.modeling.build import build_model
from pet.solver.lr_scheduler import build_lr_scheduler
from pet.solver.optimizer import build_optimizer
from pet.utils.seed import seed_all
from pet.weights.load import load_weights
from tests.small_cfgs import MOST_STEPS, real_pictures, small_cfg
from tests.source_code import ROOT

PATHS = sorted((ROOT / "cfgs").rglob("*.yaml"))
REAL = sorted((ROOT / "cfgs/rcnn/coco_mini").glob("*.yaml"))
#: What is left of the loss of a batch when it has clearly been learnt from.
ENOUGH = 0.9
each_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))


def test_there_are_configs():
    assert len(PATHS) > 20


@each_path
def test_the_model_of_a_config_is_built(path):
    cfg = default_cfg()
    merge_cfg_from_file(path, cfg)
    if cfg.MODEL.NUM_CLASSES == -1:
        cfg.MODEL.NUM_CLASSES = 81
    if cfg.KRCNN.NUM_KEYPOINTS == -1:
        cfg.KRCNN.NUM_KEYPOINTS = 17
    freeze(cfg)
    if cfg.MODEL.CONV_BODY.startswith("timm/"):
        pytest.importorskip("timm")
    with torch.device("meta"):
        model = build_model("meta", cfg)
    assert any(parameter.requires_grad for parameter in model.parameters())


# Made small --------------------------------------------------------------------------------------


class Run:
    """A model in training, always on the same batch and with the same random numbers."""

    def __init__(self, cfg: CfgNode, batch: tuple) -> None:
        seed_all(cfg.SEED)
        self.cfg = cfg
        self.images, self.targets, _ = batch
        self.model = build_model("cpu", cfg)
        self.optimizer = build_optimizer(self.model, cfg)
        self.scheduler = build_lr_scheduler(self.optimizer, cfg)
        self.checkpointer = build_checkpointer((), cfg)

    def step(self) -> dict[str, Tensor]:
        """Take a step, and return the losses before it."""
        self.model.train()
        seed_all(1)
        self.scheduler.step()
        self.optimizer.zero_grad()
        outputs = self.model(self.images, self.targets)
        outputs["total_loss"].backward()
        self._make_gradients_of_length_one()
        self.optimizer.step()
        return {**outputs["losses"], "total_loss": outputs["total_loss"]}

    def _make_gradients_of_length_one(self) -> None:
        """Let no step be too short to see, nor too long, whatever the scale of the losses."""
        length = nn.utils.clip_grad_norm_(self.model.parameters(), math.inf)  # which clips nothing
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad /= length

    def save(self) -> None:
        self.checkpointer.save(self.model, self.optimizer, self.scheduler)

    def resume(self) -> bool:
        return self.checkpointer.resume(self.model, self.optimizer, self.scheduler)


def steady_loss(losses: dict[str, Tensor], cfg: CfgNode) -> float:
    """Return the sum of the losses but those of RoIs' boxes, which go with the step's proposals."""
    moving = ("total_loss",) if cfg.MODEL.RETINANET_ON else ("total_loss", "loss_box_reg")
    return sum(v.item() for name, v in losses.items() if not name.startswith(moving))


def learn(run: Run, losses: list[dict[str, Tensor]]) -> list[float]:
    """Go on from ``losses`` until the loss is clearly lower; return it before each step.

    New proposals may raise it for a step. That some step of many has brought it down by far is
    what no rounding turns.
    """
    values = [steady_loss(each, run.cfg) for each in losses]
    while min(values) > ENOUGH * values[0] and len(values) < MOST_STEPS:
        values.append(steady_loss(run.step(), run.cfg))
    return values


def check_training(cfg: CfgNode) -> None:
    """Train on a batch, resume, test: all is finite, repeats itself, and the loss falls."""
    dataset = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)
    batch = next(iter(make_train_data_loader(dataset, is_distributed=False, cfg=cfg)))

    run = Run(cfg, batch)
    losses = [run.step(), run.step()]
    run.save()
    losses.append(run.step())
    for values in losses:
        assert all(torch.isfinite(value) for value in values.values()), values
    values = learn(run, losses)
    assert min(values) <= ENOUGH * values[0], values

    resumed = Run(cfg, batch)
    assert resumed.resume() and resumed.scheduler.iteration == 2
    again = resumed.step()
    assert {k: v.item() for k, v in again.items()} == {k: v.item() for k, v in losses[2].items()}

    model = build_model("cpu", cfg)
    load_weights(model, Path(cfg.CKPT) / "model_latest.pth", strict=True, cfg=cfg)
    dataset = build_dataset(cfg.TEST.DATASETS, is_train=False, cfg=cfg)
    loader = make_test_data_loader(dataset, cfg=cfg)
    found = list(detect(model, loader, torch.device("cpu")))
    assert len(found) == 2
    for info, detections in found:
        assert 0 < len(detections) <= 20
        assert detections.size == (info.height, info.width)
        records = image_results(info.image_id, detections, dataset.category_ids).records
        # torchvision's RetinaNet finds label 0 as well, which is no object.
        assert len(records["bbox"]) == (detections.labels > 0).sum()
        assert ("segm" in records) == cfg.MODEL.MASK_ON
        assert ("keypoints" in records) == cfg.MODEL.KEYPOINT_ON


@each_path
def test_a_config_trains_resumes_and_tests(path, tmp_path, pictures):
    check_training(small_cfg(path, tmp_path, pictures))


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_a_config_trains_resumes_and_tests_on_real_pictures(path, tmp_path, coco_mini):
    check_training(small_cfg(path, tmp_path, real_pictures(tmp_path, coco_mini)))
