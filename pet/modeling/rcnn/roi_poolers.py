"""The RoI poolers that the config describes, one for each branch."""

from collections.abc import Sequence

from pet.config import CfgNode, cfg
from pet.layers.roi_pooler import LevelRule, RoIPooler


def build_box_pooler(spatial_scale: Sequence[float], cfg: CfgNode = cfg) -> RoIPooler:
    """Return the pooler of the box branch, for the levels ``spatial_scale``."""
    return _build(cfg.FAST_RCNN, spatial_scale, cfg)


def build_mask_pooler(spatial_scale: Sequence[float], cfg: CfgNode = cfg) -> RoIPooler:
    """Return the pooler of the mask branch, for the levels ``spatial_scale``."""
    return _build(cfg.MRCNN, spatial_scale, cfg)


def build_keypoint_pooler(spatial_scale: Sequence[float], cfg: CfgNode = cfg) -> RoIPooler:
    """Return the pooler of the keypoint branch, for the levels ``spatial_scale``."""
    return _build(cfg.KRCNN, spatial_scale, cfg)


def _build(branch: CfgNode, spatial_scale: Sequence[float], cfg: CfgNode) -> RoIPooler:
    return RoIPooler(
        branch.ROI_XFORM_METHOD,
        resolution=tuple(branch.ROI_XFORM_RESOLUTION),
        sampling_ratio=branch.ROI_XFORM_SAMPLING_RATIO,
        spatial_scales=spatial_scale,
        aligned=branch.ROI_XFORM_ALIGNED,
        level_rule=LevelRule(ratio_eps=cfg.FPN.ROI_RATIO_EPS, level_eps=cfg.FPN.ROI_LEVEL_EPS),
    )
