"""Every YAML under cfgs/ is a model that trains, resumes and tests.

Each is built as it stands, without its weights. Then it is made small, by changes that are the same
for all: a trunk of two blocks a stage (resnet18_1x32d), few channels, few proposals and two small
pictures, real ones where there are any. (Deformable convolutions need bottleneck blocks, and keep
their trunk.) What is left are the parts that the YAML puts together, and how: that is tested.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pet.checkpoint.checkpointer import build_checkpointer
from pet.checkpoint.weights import load_weights
from pet.config import CfgNode, default_cfg, freeze, merge_cfg_from_file, merge_cfg_from_list
from pet.data.build import (
    build_dataset,
    make_test_data_loader,
    make_train_data_loader,
    resolve_num_classes,
    resolve_num_keypoints,
)
from pet.data.datasets import shapes
from pet.engine.inference import detect
from pet.evaluation.results import image_results
from pet.modeling.build import build_model
from pet.solver.lr_scheduler import build_lr_scheduler
from pet.solver.optimizer import build_optimizer
from pet.utils.seed import seed_all
from tests.data_folder import data_folder
from tests.source_code import ROOT

PATHS = sorted((ROOT / "cfgs").rglob("*.yaml"))
each_path = pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))

PICTURES = (790, 37666)  # two of one shape, with people at work
SMALL: dict[str, Any] = {
    "DEVICE": "cpu",
    # For random weights, which have not learnt to live with pixels up to 255.
    "INPUT.PIXEL_STD": (58.0, 58.0, 58.0),
    "MODEL.CONV_BODY": "resnet18_1x32d",
    "MODEL.NUM_CLASSES": -1,
    "FPN.DIM": 64,
    "RPN.PRE_NMS_TOP_N_TRAIN": 20,
    "RPN.PRE_NMS_TOP_N_TEST": 20,
    "RPN.POST_NMS_TOP_N_TRAIN": 12,
    "RPN.POST_NMS_TOP_N_TEST": 8,
    "FAST_RCNN.MLP_HEAD_DIM": 32,
    "FAST_RCNN.CONV_HEAD_DIM": 32,
    "FAST_RCNN.BATCH_SIZE_PER_IMAGE": 1000,  # all, so that nothing is drawn
    "FAST_RCNN.SCORE_THRESH": 0.0,
    "FAST_RCNN.DETECTIONS_PER_IMG": 5,
    "MRCNN.CONV_DIM": 32,
    "KRCNN.CONV_DIM": 32,
    "RETINANET.SCORE_THRESH": 0.0,
    "RETINANET.DETECTIONS_PER_IMG": 5,
    "SOLVER.BASE_LR": 0.005,
    "SOLVER.MAX_ITER": 3,
    "SOLVER.STEPS": (),
    "SOLVER.LR_POLICY": "STEP",
    "SOLVER.WARM_UP_ITERS": 0,
    "SOLVER.SNAPSHOT_ITERS": 2,
    "SOLVER.CLIP_GRAD_NORM": 1.0,
    "TRAIN.WEIGHTS": "",
    "TRAIN.DATASETS": ("small",),
    "TRAIN.SCALES": (96,),
    "TRAIN.MAX_SIZE": 160,
    "TRAIN.FLIP_PROB": 0.0,
    "TRAIN.BATCH_SIZE": 2,
    "TRAIN.LOADER_THREADS": 0,
    "TEST.DATASETS": ("small",),
    "TEST.SCALE": 64,
    "TEST.MAX_SIZE": 96,
    "TEST.LOADER_THREADS": 0,
}


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


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> dict[str, Any]:
    """Return the keys of a data set of two pictures, with masks and keypoints."""
    folder = tmp_path_factory.mktemp("pictures")
    try:
        data = data_folder("coco-mini")
    except pytest.skip.Exception:
        images, content = _drawn(folder)
    else:
        images = data / "train2017"
        source = data / "annotations" / "person_keypoints_train2017.json"
        content = json.loads(source.read_text())
        content["images"] = [image for image in content["images"] if image["id"] in PICTURES]
    wanted = {image["id"] for image in content["images"]}
    annotations = [a for a in content["annotations"] if a["image_id"] in wanted]
    assert len(wanted) == 2 and annotations
    (folder / "small.json").write_text(json.dumps({**content, "annotations": annotations}))
    return {
        "DATASETS.small.IMAGES": str(images),
        "DATASETS.small.ANNOTATIONS": str(folder / "small.json"),
    }


def _drawn(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the folder and the annotations of two pictures of shapes, which get keypoints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "PICTURES", {"train": 2, "val": 1})
        shapes.draw_shapes(folder)
    content = json.loads((folder / "shapes/annotations/instances_train.json").read_text())
    for category in content["categories"]:
        category |= {"keypoints": ["middle", "corner"], "skeleton": [[1, 2]]}
    for annotation in content["annotations"]:
        x, y, width, height = annotation["bbox"]
        points = [x + width / 2, y + height / 2, 2, x, y, 2]
        annotation |= {"keypoints": points, "num_keypoints": 2}
    return folder / "shapes" / "train", content


def small_cfg(path: Path, ckpt: Path, pictures: dict[str, Any]) -> CfgNode:
    """Return the config of ``path`` made small, frozen."""
    cfg = default_cfg()
    merge_cfg_from_file(path, cfg)
    changes = {**SMALL, **pictures, "CKPT": str(ckpt)}
    if cfg.SOLVER.OPTIMIZER == "ADAMW":
        changes["SOLVER.BASE_LR"] /= 10
    if any(cfg.BACKBONE.STAGE_WITH_DCN):
        changes["MODEL.CONV_BODY"] = cfg.MODEL.CONV_BODY
    merge_cfg_from_list([item for pair in changes.items() for item in pair], cfg)
    dataset = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)
    cfg.MODEL.NUM_CLASSES = resolve_num_classes(dataset, cfg)
    if cfg.MODEL.KEYPOINT_ON:
        cfg.KRCNN.NUM_KEYPOINTS = -1
        cfg.KRCNN.NUM_KEYPOINTS = resolve_num_keypoints(dataset, cfg)
    freeze(cfg)
    return cfg


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
        nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.SOLVER.CLIP_GRAD_NORM)
        self.optimizer.step()
        return {**outputs["losses"], "total_loss": outputs["total_loss"]}

    def save(self) -> None:
        self.checkpointer.save(self.model, self.optimizer, self.scheduler)

    def resume(self) -> bool:
        return self.checkpointer.resume(self.model, self.optimizer, self.scheduler)


def classification_loss(losses: dict[str, Tensor]) -> float:
    """Return the sum of the losses but those of boxes, which go with the proposals of the step."""
    return sum(v.item() for name, v in losses.items() if not re.search("box_reg|total", name))


@each_path
def test_a_config_trains_resumes_and_tests(path, tmp_path, pictures):
    cfg = small_cfg(path, tmp_path, pictures)
    dataset = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)
    batch = next(iter(make_train_data_loader(dataset, is_distributed=False, cfg=cfg)))

    run = Run(cfg, batch)
    losses = [run.step(), run.step()]
    run.save()
    losses.append(run.step())
    for values in losses:
        assert all(torch.isfinite(value) for value in values.values()), values
    assert classification_loss(losses[-1]) < classification_loss(losses[0])

    resumed = Run(cfg, batch)
    assert resumed.resume() and resumed.scheduler.iteration == 2
    again = resumed.step()
    assert {k: v.item() for k, v in again.items()} == {k: v.item() for k, v in losses[2].items()}

    model = build_model("cpu", cfg)
    load_weights(model, tmp_path / "model_latest.pth", strict=True, cfg=cfg)
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
