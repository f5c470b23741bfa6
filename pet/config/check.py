"""Contradictions between config keys, found before any data is touched."""

from collections.abc import Iterable
from typing import Any

from yacs.config import CfgNode

from pet.config.check_backbone import check_backbone
from pet.config.check_heads import check_heads
from pet.config.check_numbers import check_numbers
from pet.config.check_testing import check_testing

_NORMS = ("freeze", "bn", "syncbn", "gn")


def check_cfg(cfg: CfgNode) -> None:
    """Raise ValueError, naming the keys and what would do, where ``cfg`` contradicts itself."""
    check_numbers(cfg)
    _check_choices(cfg)
    _check_ranges(cfg)
    _check_input(cfg)
    _check_schedule(cfg)
    check_backbone(cfg)
    _check_anchors(cfg)
    _check_retinanet(cfg)
    _check_parts(cfg)
    check_heads(cfg)
    check_testing(cfg)


def _check_choices(cfg: CfgNode) -> None:
    _one_of(cfg, "INPUT.ORIENTATION", ("auto", "upright", "stored"))
    _one_of(cfg, "INPUT.CHANNEL_ORDER", ("RGB", "BGR"))
    _one_of(cfg, "INPUT.INTERPOLATION", ("opencv", "pil", "float"))
    _one_of(cfg, "INPUT.RESIZE_ROUNDING", ("half_up", "floor"))
    _one_of(cfg, "MODEL.BATCH_NORM", _NORMS)
    _one_of(cfg, "MODEL.CLASS_LABELS", ("contiguous", "category_id"))
    for key in ("FPN.NORM", "FAST_RCNN.NORM", "MRCNN.NORM", "KRCNN.NORM"):
        _one_of(cfg, key, ("none", *_NORMS))
    _one_of(cfg, "RPN.LOSS_NORMALIZER", ("batch_size", "sampled"))
    _one_of(cfg, "FPN.P6_FROM", ("res5", "P5"))
    _one_of(cfg, "RETINANET.NORM", ("none", "gn"))
    _one_of(cfg, "RETINANET.BOX_LOSS", ("smooth_l1", "giou"))
    _one_of(cfg, "RETINANET.LOSS_NORMALIZER", ("batch", "image", "average"))
    _one_of(cfg, "MRCNN.TARGET_METHOD", ("cell_centre", "roi_align"))
    _one_of(cfg, "MRCNN.PASTE_METHOD", ("pixel_centre", "integer_box"))
    for key in ("TRAIN.PRECISION", "TEST.PRECISION"):
        _one_of(cfg, key, ("float32", "bfloat16"))
    _one_of(cfg, "SOLVER.OPTIMIZER", ("SGD", "ADAMW"))
    _one_of(cfg, "SOLVER.LR_POLICY", ("STEP", "COSINE", "POLY"))
    _one_of(cfg, "SOLVER.WARM_UP_METHOD", ("LINEAR", "CONSTANT"))
    _one_of(cfg, "DATALOADER.SAMPLER_TRAIN", ("DistributedSampler", "RepeatFactorTrainingSampler"))
    _one_of(cfg, "FAST_RCNN.ROI_XFORM_METHOD", ("ROIAlign", "ROIPool"))
    _one_of(cfg, "MRCNN.ROI_XFORM_METHOD", ("ROIAlign", "ROIPool"))
    _one_of(cfg, "KRCNN.ROI_XFORM_METHOD", ("ROIAlign", "ROIPool"))
    _one_of(cfg, "KRCNN.LOSS_NORMALIZER", ("visible", "batch_size"))
    _one_of(cfg, "KRCNN.SCORE_METHOD", ("probability", "one"))
    _one_of(cfg, "TEST.SOFT_NMS.METHOD", ("linear", "gaussian"))
    for name, block in cfg.DATASETS.items():
        if not isinstance(block, CfgNode):
            raise ValueError(f"DATASETS.{name} must be a section with IMAGES and ANNOTATIONS")
        if block.MAX_IMAGES < 0:
            raise ValueError(
                f"DATASETS.{name}.MAX_IMAGES must be at least 0; got {block.MAX_IMAGES}"
            )


def _check_ranges(cfg: CfgNode) -> None:
    for key in (
        "DISPLAY_ITER",
        "SOLVER.MAX_ITER",
        "TRAIN.BATCH_SIZE",
        "TRAIN.MAX_SIZE",
        "TEST.SCALE",
        "TEST.MAX_SIZE",
        "TEST.IMS_PER_GPU",
        "TEST.BBOX_AUG.MAX_SIZE",
        "TEST.MASK_AUG.MAX_SIZE",
        "TEST.KPS_AUG.MAX_SIZE",
        "INPUT.SIZE_DIVISIBILITY",
        "FPN.DIM",
        "RPN.PRE_NMS_TOP_N_TRAIN",
        "RPN.PRE_NMS_TOP_N_TEST",
        "RPN.POST_NMS_TOP_N_TRAIN",
        "RPN.POST_NMS_TOP_N_TEST",
        "RPN.BATCH_SIZE_PER_IMAGE",
        "FAST_RCNN.BATCH_SIZE_PER_IMAGE",
        "FAST_RCNN.DETECTIONS_PER_IMG",
        "FAST_RCNN.MLP_HEAD_DIM",
        "FAST_RCNN.CONV_HEAD_DIM",
        "RPN.NUM_CONVS",
        "RETINANET.SCALES_PER_OCTAVE",
        "RETINANET.PRE_NMS_TOP_N",
        "RETINANET.DETECTIONS_PER_IMG",
        "MRCNN.CONV_DIM",
        "KRCNN.CONV_DIM",
    ):
        _at_least(cfg, key, 1)
    for key in (
        "SEED",
        "SOLVER.WARM_UP_ITERS",
        "SOLVER.SNAPSHOT_ITERS",
        "SOLVER.CLIP_GRAD_NORM",
        "SOLVER.WEIGHT_DECAY",
        "SOLVER.WEIGHT_DECAY_NORM",
        "SOLVER.WEIGHT_DECAY_BIAS",
        "SOLVER.BIAS_LR_FACTOR",
        "SOLVER.GAMMA",
        "SOLVER.LR_POW",
        "DATALOADER.REPEAT_THRESHOLD",
        "TRAIN.LOADER_THREADS",
        "TEST.LOADER_THREADS",
        "VIS.MAX_IMAGES",
        "INPUT.MAX_PIXELS",
        "MODEL.BATCH_NORM_EPS",
        "FPN.ROI_RATIO_EPS",
        "FPN.ROI_LEVEL_EPS",
        "FAST_RCNN.MIN_SIZE",
        "FAST_RCNN.NUM_STACKED_CONVS",
        "RPN.MIN_SIZE",
        "RPN.SMOOTH_L1_BETA",
        "FAST_RCNN.SMOOTH_L1_BETA",
        "RETINANET.NUM_CONVS",
        "RETINANET.FOCAL_GAMMA",
        "RETINANET.SMOOTH_L1_BETA",
        "FAST_RCNN.ROI_XFORM_SAMPLING_RATIO",
        "MRCNN.ROI_XFORM_SAMPLING_RATIO",
        "MRCNN.NUM_CONVS",
        "KRCNN.ROI_XFORM_SAMPLING_RATIO",
        "KRCNN.NUM_CONVS",
        "KRCNN.MIN_KEYPOINTS_PER_IMAGE",
    ):
        _at_least(cfg, key, 0)
    for key in (
        "SOLVER.MOMENTUM",
        "TRAIN.FLIP_PROB",
        "VIS.VIS_TH",
        "RPN.NMS_THRESH",
        "RPN.FG_IOU_THRESHOLD",
        "RPN.BG_IOU_THRESHOLD",
        "RPN.POSITIVE_FRACTION",
        "FAST_RCNN.FG_IOU_THRESHOLD",
        "FAST_RCNN.BG_IOU_THRESHOLD",
        "FAST_RCNN.POSITIVE_FRACTION",
        "FAST_RCNN.SCORE_THRESH",
        "FAST_RCNN.NMS",
        "KRCNN.PIXEL_SHIFT",
        "RETINANET.FG_IOU_THRESHOLD",
        "RETINANET.BG_IOU_THRESHOLD",
        "RETINANET.FOCAL_ALPHA",
        "RETINANET.SCORE_THRESH",
        "RETINANET.NMS",
        "TEST.SOFT_NMS.SCORE_THRESH",
    ):
        if not 0 <= _get(cfg, key) <= 1:
            raise ValueError(f"{key} must lie in [0, 1]; got {_get(cfg, key)}")
    if cfg.MODEL.NUM_CLASSES != -1 and cfg.MODEL.NUM_CLASSES < 2:
        raise ValueError(
            "MODEL.NUM_CLASSES counts the background, so the least is 2; -1 takes it from the "
            f"data sets; got {cfg.MODEL.NUM_CLASSES}"
        )
    if not cfg.TRAIN.SCALES or min(cfg.TRAIN.SCALES) < 1:
        raise ValueError(f"TRAIN.SCALES needs one or more positive sizes; got {cfg.TRAIN.SCALES}")


def _check_input(cfg: CfgNode) -> None:
    if len(cfg.INPUT.PIXEL_MEAN) != 3 or len(cfg.INPUT.PIXEL_STD) != 3:
        raise ValueError("INPUT.PIXEL_MEAN and INPUT.PIXEL_STD need three numbers each")
    if min(cfg.INPUT.PIXEL_STD) <= 0:
        raise ValueError(f"INPUT.PIXEL_STD must be positive; got {cfg.INPUT.PIXEL_STD}")
    if not 8 <= cfg.INPUT.BIT_DEPTH <= 16:
        raise ValueError(
            f"INPUT.BIT_DEPTH must lie in 8..16, the bits in use of 16; got {cfg.INPUT.BIT_DEPTH}"
        )


def _check_schedule(cfg: CfgNode) -> None:
    solver = cfg.SOLVER
    if solver.BASE_LR <= 0:
        raise ValueError(f"SOLVER.BASE_LR must be positive; got {solver.BASE_LR}")
    if list(solver.STEPS) != sorted(set(solver.STEPS)):
        raise ValueError(f"SOLVER.STEPS must rise; got {solver.STEPS}")
    if solver.LR_POLICY == "STEP" and solver.STEPS and solver.STEPS[-1] >= solver.MAX_ITER:
        raise ValueError(
            f"SOLVER.STEPS {solver.STEPS} reaches past SOLVER.MAX_ITER {solver.MAX_ITER}, so the "
            'learning rate would never fall; scale both, or give SOLVER.STEPS "()"'
        )
    if solver.WARM_UP_ITERS and not 0 < solver.WARM_UP_FACTOR <= 1:
        raise ValueError(f"SOLVER.WARM_UP_FACTOR must lie in (0, 1]; got {solver.WARM_UP_FACTOR}")


def _check_anchors(cfg: CfgNode) -> None:
    rpn, levels = cfg.RPN, 5 if cfg.FPN.FPN_ON else 1
    stage, dilation = cfg.BACKBONE.OUT_STAGE, cfg.BACKBONE.RES5_DILATION
    strides = (4, 8, 16, 32, 64) if cfg.FPN.FPN_ON else (2**stage // dilation,)
    if tuple(rpn.ANCHOR_STRIDE) != strides:
        raise ValueError(
            f"FPN.FPN_ON is {cfg.FPN.FPN_ON}, BACKBONE.OUT_STAGE {stage} and "
            f"BACKBONE.RES5_DILATION {dilation}, which gives levels of stride {strides}, but "
            f"RPN.ANCHOR_STRIDE is {rpn.ANCHOR_STRIDE}"
        )
    if not rpn.ANCHOR_SIZES or (levels > 1 and len(rpn.ANCHOR_SIZES) != levels):
        raise ValueError(
            f"RPN.ANCHOR_SIZES {rpn.ANCHOR_SIZES} must name one size for each of the {levels} "
            f"strides of RPN.ANCHOR_STRIDE {rpn.ANCHOR_STRIDE}"
        )
    if not rpn.ASPECT_RATIOS or min(rpn.ASPECT_RATIOS) <= 0 or min(rpn.ANCHOR_SIZES) <= 0:
        raise ValueError("RPN.ANCHOR_SIZES and RPN.ASPECT_RATIOS must be positive")
    if cfg.FPN.FPN_ON and cfg.INPUT.SIZE_DIVISIBILITY % 32:
        raise ValueError(
            "with FPN.FPN_ON, INPUT.SIZE_DIVISIBILITY must be a multiple of 32; "
            f"got {cfg.INPUT.SIZE_DIVISIBILITY}"
        )


def _check_retinanet(cfg: CfgNode) -> None:
    retina, is_on = cfg.RETINANET, cfg.MODEL.RETINANET_ON
    if is_on and (not cfg.FPN.FPN_ON or cfg.FPN.BODY == "fpn"):
        raise ValueError(
            "MODEL.RETINANET_ON needs a pyramid from P3 to P7; give FPN.FPN_ON True and FPN.BODY "
            "fpn_p6p7"
        )
    if cfg.FPN.FPN_ON and cfg.FPN.BODY == "fpn_p6p7" and not is_on:
        raise ValueError(
            "FPN.BODY fpn_p6p7 is for MODEL.RETINANET_ON; an R-CNN needs P2 as well, so give fpn"
        )
    for key in ("ANCHOR_SIZES", "ASPECT_RATIOS"):
        if not retina[key] or min(retina[key]) <= 0:
            raise ValueError(f"RETINANET.{key} needs positive numbers; got {retina[key]}")
    if is_on and cfg.FPN.BODY == "fpn_p6p7" and len(retina.ANCHOR_SIZES) != 5:
        raise ValueError(
            "RETINANET.ANCHOR_SIZES must name one size for each of the 5 levels of FPN.BODY "
            f"fpn_p6p7; got {retina.ANCHOR_SIZES}"
        )
    if not 0 < retina.PRIOR_PROB < 1:
        raise ValueError(f"RETINANET.PRIOR_PROB must lie in (0, 1); got {retina.PRIOR_PROB}")


def _check_parts(cfg: CfgNode) -> None:
    """Raise ValueError where a branch is asked for beside a model that has none."""
    branches = ("MASK_ON", "KEYPOINT_ON", "CASCADE_ON")
    for alone, others in (("RPN_ONLY", (*branches, "RETINANET_ON")), ("RETINANET_ON", branches)):
        wanted = [f"MODEL.{key}" for key in others if cfg.MODEL[key]]
        if cfg.MODEL[alone] and wanted:
            raise ValueError(
                f"MODEL.{alone} is a model without RoI heads, so that {' and '.join(wanted)} must "
                "be False"
            )


def _get(cfg: CfgNode, key: str) -> Any:
    value = cfg
    for part in key.split("."):
        value = value[part]
    return value


def _one_of(cfg: CfgNode, key: str, choices: Iterable[str]) -> None:
    if _get(cfg, key) not in choices:
        raise ValueError(f"{key} must be one of {', '.join(choices)}; got {_get(cfg, key)!r}")


def _at_least(cfg: CfgNode, key: str, least: int) -> None:
    if _get(cfg, key) < least:
        raise ValueError(f"{key} must be at least {least}; got {_get(cfg, key)}")
