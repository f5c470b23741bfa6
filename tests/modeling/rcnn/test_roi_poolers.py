import pytest

from pet.modeling.rcnn.roi_poolers import (
    build_box_pooler,
    build_keypoint_pooler,
    build_mask_pooler,
)
from tests.modeling.rcnn.small import small_cfg


@pytest.mark.parametrize(
    ("build", "section"),
    [
        (build_box_pooler, "FAST_RCNN"),
        (build_mask_pooler, "MRCNN"),
        (build_keypoint_pooler, "KRCNN"),
    ],
)
def test_each_branch_pools_by_its_own_section(build, section):
    cfg = small_cfg()
    cfg[section].ROI_XFORM_METHOD = "ROIPool"
    cfg[section].ROI_XFORM_RESOLUTION = [5, 3]
    cfg[section].ROI_XFORM_SAMPLING_RATIO = 4
    cfg[section].ROI_XFORM_ALIGNED = False
    cfg.FPN.ROI_RATIO_EPS, cfg.FPN.ROI_LEVEL_EPS = 0.5, 0.25
    pooler = build((1 / 4, 1 / 8), cfg)
    assert (pooler.method, pooler.resolution, pooler.sampling_ratio) == ("ROIPool", (5, 3), 4)
    assert not pooler.aligned and pooler.spatial_scales == (1 / 4, 1 / 8)
    assert (pooler.level_rule.ratio_eps, pooler.level_rule.level_eps) == (0.5, 0.25)
