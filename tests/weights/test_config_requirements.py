"""What weights need against what a config says."""

import pytest

from pet.weights.config_requirements import contradictions, describe_contradictions

DETECTOR = (
    "Conv_Body.conv1.weight",
    "Conv_Body_FPN.lateral_convs.0.weight",
    "RPN.head.cls_logits.bias",
    "Fast_RCNN.predictor.cls_score.weight",
    "Mask_RCNN.predictor.deconv.bias",
)
WANTED = {
    "INPUT.CHANNEL_ORDER": "BGR",
    "MODEL.CLASS_LABELS": "category_id",
    "BACKBONE.STRIDE_IN_1X1": True,
    "FPN.ROI_LEVEL_EPS": 1e-6,
    "RPN.ANCHOR_ROUNDED": True,
    "FAST_RCNN.MIN_SIZE": 0.01,
    "MRCNN.ROI_XFORM_ALIGNED": False,
}


def test_each_key_that_differs(fresh_cfg):
    found = contradictions(WANTED, fresh_cfg, DETECTOR)
    assert found == [
        ("INPUT.CHANNEL_ORDER", "RGB", "BGR"),
        ("MODEL.CLASS_LABELS", "contiguous", "category_id"),
        ("BACKBONE.STRIDE_IN_1X1", False, True),
        ("FPN.ROI_LEVEL_EPS", 0.0, 1e-6),
        ("RPN.ANCHOR_ROUNDED", False, True),
        ("FAST_RCNN.MIN_SIZE", 0.0, 0.01),
        ("MRCNN.ROI_XFORM_ALIGNED", True, False),
    ]
    text = describe_contradictions("w.pth (X)", found)
    assert "weights of w.pth (X) " in text
    assert "    INPUT.CHANNEL_ORDER: RGB in the config, BGR for these weights\n" in text
    assert "cfgs/rcnn/torchvision/ and cfgs/rcnn/detectron2/" in text


@pytest.mark.parametrize(
    ("loaded", "sections"),
    [
        (DETECTOR[:1], {"INPUT", "BACKBONE"}),
        (DETECTOR[1:2], {"FPN"}),
        (DETECTOR[2:3], {"RPN"}),
        (("Fast_RCNN.head.fc1.weight",), {"FAST_RCNN"}),  # no classes were loaded
        (DETECTOR[3:4], {"FAST_RCNN", "MODEL"}),
        (DETECTOR[4:], {"MRCNN"}),
        ((), set()),
    ],
)
def test_only_what_was_loaded_counts(fresh_cfg, loaded, sections):
    found = contradictions(WANTED, fresh_cfg, loaded)
    assert {key.split(".")[0] for key, _, _ in found} == sections


def test_numbers_agree_to_rounding_and_lists_with_tuples(fresh_cfg):
    same = {
        "INPUT.PIXEL_MEAN": [123.67500305175781, 116.28, 103.53],
        "MODEL.BATCH_NORM_EPS": 0.00001,
        "FAST_RCNN.MIN_SIZE": 0,
    }
    assert contradictions(same, fresh_cfg, DETECTOR) == []
    other = {"INPUT.PIXEL_MEAN": (123.0, 116.28, 103.53), "INPUT.PIXEL_STD": (1.0, 1.0)}
    assert len(contradictions(other, fresh_cfg, DETECTOR)) == 2


def test_a_key_that_the_config_does_not_have(fresh_cfg):
    wanted = {"INPUT.GAMMA": 2.2, "INPUT.CHANNEL_ORDER.X": 1}
    found = contradictions(wanted, fresh_cfg, DETECTOR)
    assert [present for _, present, _ in found] == ["no such key", "no such key"]
