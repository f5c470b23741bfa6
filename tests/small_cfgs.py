"""The YAML files under cfgs/ made small, by changes that are the same for all.

A trunk of two blocks a stage (resnet18_1x32d), few channels, few proposals and two small pictures,
drawn ones unless a test asks for real ones. (Deformable convolutions need bottleneck blocks, and
keep their trunk.) What is left are the parts that a YAML puts together, and how.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from pet.config import CfgNode, default_cfg, freeze, merge_cfg_from_file, merge_cfg_from_list
from pet.data.build import build_dataset, resolve_num_classes, resolve_num_keypoints
from pet.data.datasets import shapes

REAL_PICTURES = (790, 37666)  # two of one shape, with people at work
MOST_STEPS = 15
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
    "RPN.BATCH_SIZE_PER_IMAGE": 64,  # few enough to be asked alone, with a pyramid
    "FAST_RCNN.MLP_HEAD_DIM": 32,
    "FAST_RCNN.CONV_HEAD_DIM": 32,
    "FAST_RCNN.BATCH_SIZE_PER_IMAGE": 1000,  # all, so that nothing is drawn
    "FAST_RCNN.SCORE_THRESH": 0.0,
    "FAST_RCNN.DETECTIONS_PER_IMG": 5,
    "MRCNN.CONV_DIM": 32,
    "KRCNN.CONV_DIM": 32,
    "RETINANET.SCORE_THRESH": 0.0,
    "RETINANET.DETECTIONS_PER_IMG": 5,
    "SOLVER.BASE_LR": 0.05,
    "SOLVER.REFERENCE_BATCH_SIZE": 0,
    "SOLVER.MAX_ITER": MOST_STEPS,
    "SOLVER.STEPS": (),
    "SOLVER.LR_POLICY": "STEP",
    "SOLVER.WARM_UP_ITERS": 0,
    "SOLVER.SNAPSHOT_ITERS": 2,
    "TRAIN.WEIGHTS": "",
    "TRAIN.DATASETS": ("small",),
    "TRAIN.SCALES": (96,),
    "TRAIN.MAX_SIZE": 160,
    "TRAIN.LARGE_SCALE_JITTER.SIZE": (96, 96),
    "TRAIN.LARGE_SCALE_JITTER.SCALES": (0.9, 1.1),
    "TRAIN.FLIP_PROB": 0.0,
    "TRAIN.BATCH_SIZE": 2,
    "TRAIN.LOADER_THREADS": 0,
    "TEST.DATASETS": ("small",),
    "TEST.SCALE": 64,
    "TEST.MAX_SIZE": 96,
    "TEST.LOADER_THREADS": 0,
}


def drawn_pictures(folder: Path) -> dict[str, Any]:
    """Return the keys of a data set of two drawn pictures, with masks and keypoints."""
    images, content = _drawn(folder)
    return _two_pictures(folder, images, content)


def real_pictures(folder: Path, coco_mini: Path) -> dict[str, Any]:
    """Return the keys of a data set of two pictures of ``coco_mini``, with masks and keypoints."""
    file = coco_mini / "annotations" / "person_keypoints_train2017.json"
    content = json.loads(file.read_text())
    content["images"] = [image for image in content["images"] if image["id"] in REAL_PICTURES]
    return _two_pictures(folder, coco_mini / "train2017", content)


def _two_pictures(folder: Path, images: Path, content: dict[str, Any]) -> dict[str, Any]:
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
    if cfg.MODEL.BATCH_NORM == "bn":
        # After a few steps the trained norm tests with other statistics than it trains with: long
        # steps would leave no score above 0.
        changes["SOLVER.BASE_LR"] = 0.02
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
