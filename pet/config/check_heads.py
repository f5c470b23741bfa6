"""Contradictions between the keys of the heads: boxes, cascades and masks."""

from yacs.config import CfgNode

from pet.config.check_backbone import check_res5_head

#: Registered name of a branch of Pet -> the key of ``MODEL`` that switches it on.
BRANCH_SWITCHES = {"mask": "MASK_ON", "keypoint": "KEYPOINT_ON"}


def check_heads(cfg: CfgNode) -> None:
    """Raise ValueError if the keys of a head contradict each other, or heads do not fit."""
    for name in ("RPN", "FAST_RCNN", "RETINANET"):
        section = cfg[name]
        if section.BG_IOU_THRESHOLD > section.FG_IOU_THRESHOLD:
            raise ValueError(
                f"{name}.BG_IOU_THRESHOLD {section.BG_IOU_THRESHOLD} lies above "
                f"{name}.FG_IOU_THRESHOLD {section.FG_IOU_THRESHOLD}"
            )
    _check_branches(cfg)
    _check_cascade(cfg)
    _check_norm(cfg)
    check_res5_head(cfg)
    _check_mask_size(cfg)


def _check_branches(cfg: CfgNode) -> None:
    """Raise ValueError if a branch is named twice, has a switch, or the model has no RoIs."""
    names = cfg.MODEL.ROI_BRANCHES
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"MODEL.ROI_BRANCHES names {name!r} twice; got {names}")
        if name in BRANCH_SWITCHES:
            raise ValueError(
                f"MODEL.ROI_BRANCHES is for branches beside Pet's own; for {name!r} give "
                f"MODEL.{BRANCH_SWITCHES[name]} True"
            )
    for alone in ("RPN_ONLY", "RETINANET_ON"):
        if names and cfg.MODEL[alone]:
            raise ValueError(
                f"MODEL.{alone} is a model without RoI heads, so that MODEL.ROI_BRANCHES must be "
                f"(); got {names}"
            )


def _check_norm(cfg: CfgNode) -> None:
    norm, head = cfg.FAST_RCNN.NORM, cfg.FAST_RCNN.ROI_BOX_HEAD
    if norm != "none" and head in ("roi_2mlp_head", "roi_res5_head"):
        raise ValueError(
            f"FAST_RCNN.NORM {norm} is for the convolutions of a box head, and {head} has none of "
            "its own; give FAST_RCNN.ROI_BOX_HEAD roi_xconv1fc_head, or FAST_RCNN.NORM none"
        )


def _check_mask_size(cfg: CfgNode) -> None:
    grid, of = cfg.MRCNN.ROI_XFORM_RESOLUTION, "MRCNN.ROI_XFORM_RESOLUTION"
    if cfg.MRCNN.SHARE_RES5:
        grid = tuple((side + 1) // 2 for side in cfg.FAST_RCNN.ROI_XFORM_RESOLUTION)
        of = "what res5 makes of FAST_RCNN.ROI_XFORM_RESOLUTION,"
    doubled = tuple(2 * side for side in grid)
    if cfg.MODEL.MASK_ON and tuple(cfg.MRCNN.RESOLUTION) != doubled:
        raise ValueError(
            f"MRCNN.RESOLUTION {cfg.MRCNN.RESOLUTION} must be twice {of} {grid}; give {doubled}"
        )


def _check_cascade(cfg: CfgNode) -> None:
    cascade = cfg.CASCADE_RCNN
    stages = len(cascade.FG_IOU_THRESHOLD)
    for key in ("BBOX_REG_WEIGHTS", "STAGE_WEIGHTS"):
        if len(cascade[key]) != stages:
            raise ValueError(
                f"CASCADE_RCNN.{key} {cascade[key]} must have an entry for each of the {stages} "
                f"stages of CASCADE_RCNN.FG_IOU_THRESHOLD {cascade.FG_IOU_THRESHOLD}"
            )
