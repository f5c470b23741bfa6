"""Contradictions between the keys of the trunk, and of what may be cut off it."""

from yacs.config import CfgNode


def check_backbone(cfg: CfgNode) -> None:
    """Raise ValueError where BACKBONE contradicts itself or the pyramid."""
    backbone = cfg.BACKBONE
    if not 0 <= backbone.FREEZE_AT <= backbone.OUT_STAGE:
        raise ValueError(
            f"BACKBONE.FREEZE_AT must lie in 0..{backbone.OUT_STAGE} (BACKBONE.OUT_STAGE), from no "
            f"stage to all of them; got {backbone.FREEZE_AT}"
        )
    if backbone.OUT_STAGE == 4 and backbone.RES5_DILATION == 2:
        raise ValueError(
            "BACKBONE.RES5_DILATION 2 is for a trunk with res5; give BACKBONE.OUT_STAGE 5, or 1"
        )
    if cfg.FPN.FPN_ON and (backbone.OUT_STAGE == 4 or backbone.RES5_DILATION == 2):
        raise ValueError(
            "a pyramid needs maps of stride 4, 8, 16 and 32: with FPN.FPN_ON, BACKBONE.OUT_STAGE "
            f"must be 5 and BACKBONE.RES5_DILATION 1; got {backbone.OUT_STAGE} and "
            f"{backbone.RES5_DILATION}"
        )


def check_res5_head(cfg: CfgNode) -> None:
    """Raise ValueError where res5 is to be a head, and cannot."""
    is_res5 = cfg.FAST_RCNN.ROI_BOX_HEAD == "roi_res5_head"
    if is_res5 and cfg.BACKBONE.OUT_STAGE != 4:
        raise ValueError(
            'FAST_RCNN.ROI_BOX_HEAD "roi_res5_head" is the last stage of the trunk, which must end '
            f"ahead of it: give BACKBONE.OUT_STAGE 4; got {cfg.BACKBONE.OUT_STAGE}"
        )
    if is_res5 and cfg.MODEL.CASCADE_ON:
        raise ValueError(
            'FAST_RCNN.ROI_BOX_HEAD "roi_res5_head" is the one res5 of the trunk, and a cascade '
            "has a head for each stage; give another head, or MODEL.CASCADE_ON False"
        )
    if cfg.MODEL.MASK_ON and cfg.MRCNN.SHARE_RES5 and not is_res5:
        raise ValueError(
            "MRCNN.SHARE_RES5 needs res5 as the box head: give FAST_RCNN.ROI_BOX_HEAD "
            f'"roi_res5_head"; got {cfg.FAST_RCNN.ROI_BOX_HEAD!r}'
        )
