"""Contradictions between config keys, found before any data is touched."""

from yacs.config import CfgNode

from pet.config.check_backbone import check_backbone
from pet.config.check_heads import check_heads
from pet.config.check_keys import check_keys
from pet.config.check_numbers import check_numbers
from pet.config.check_testing import check_testing
from pet.config.check_transforms import check_transforms
from pet.config.schedule import lr_steps


def check_cfg(cfg: CfgNode) -> None:
    """Raise ValueError, naming the keys and a remedy, if ``cfg`` contradicts itself."""
    check_numbers(cfg)
    check_keys(cfg)
    _check_schedule(cfg)
    check_backbone(cfg)
    _check_anchors(cfg)
    _check_retinanet(cfg)
    _check_parts(cfg)
    check_heads(cfg)
    check_testing(cfg)
    check_transforms(cfg)


def _check_schedule(cfg: CfgNode) -> None:
    solver = cfg.SOLVER
    split = [step for step in solver.STEPS if step > 1 and step != int(step)]
    if split:
        raise ValueError(
            f"SOLVER.STEPS {solver.STEPS} has {split[0]}, which is neither a whole number of "
            "iterations nor a fraction of SOLVER.MAX_ITER below 1"
        )
    if solver.LR_POLICY != "STEP" or solver.MAX_EPOCHS:
        return  # MAX_EPOCHS scales the steps
    if solver.STEPS and lr_steps(solver)[-1] >= solver.MAX_ITER:
        raise ValueError(
            f"SOLVER.STEPS {solver.STEPS} reaches past SOLVER.MAX_ITER {solver.MAX_ITER}, so the "
            'learning rate would never fall; scale both, or give SOLVER.STEPS "()"'
        )


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
    if is_on and cfg.FPN.BODY == "fpn_p6p7" and len(retina.ANCHOR_SIZES) != 5:
        raise ValueError(
            "RETINANET.ANCHOR_SIZES must name one size for each of the 5 levels of FPN.BODY "
            f"fpn_p6p7; got {retina.ANCHOR_SIZES}"
        )


def _check_parts(cfg: CfgNode) -> None:
    """Raise ValueError if a branch is asked for in a model that has none."""
    branches = ("MASK_ON", "KEYPOINT_ON", "CASCADE_ON")
    for alone, others in (("RPN_ONLY", (*branches, "RETINANET_ON")), ("RETINANET_ON", branches)):
        wanted = [f"MODEL.{key}" for key in others if cfg.MODEL[key]]
        if cfg.MODEL[alone] and wanted:
            raise ValueError(
                f"MODEL.{alone} is a model without RoI heads, so that {' and '.join(wanted)} must "
                "be False"
            )
