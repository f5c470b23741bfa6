"""What Detectron2 does where others do not, each fact with values worked out by hand.

What is tested is built from the YAMLs under cfgs/rcnn/detectron2/.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pet.config import default_cfg, merge_cfg_from_file
from pet.data.build import make_test_batch
from pet.data.collate import batch_images
from pet.data.transforms import resize_image, resized_size
from pet.layers.norm import FrozenBatchNorm2d
from pet.layers.pixel_norm import PixelNorm
from pet.modeling.build import build_model
from pet.modeling.fpn.fpn import FPN
from pet.modeling.rcnn.proposals import ProposalRule, select_proposals
from pet.modeling.rcnn.rpn import build_rpn
from pet.ops.boxes import decode_boxes
from pet.weights.formats import find_importer
from tests.exactness.detectron2_cfg import R_50, SCALES, TORCHVISION, X_101, A, B, C, cfg_of, close

# The values of the YAMLs -------------------------------------------------------------------------

COMMON = {
    "INPUT.CHANNEL_ORDER": "BGR",
    "INPUT.PIXEL_MEAN": (103.53, 116.28, 123.675),
    "INPUT.INTERPOLATION": "pil",
    "INPUT.RESIZE_ROUNDING": "half_up",
    "INPUT.SIZE_DIVISIBILITY": 32,
    "MODEL.NUM_CLASSES": 81,
    "MODEL.CLASS_LABELS": "contiguous",
    "MODEL.BATCH_NORM": "freeze",
    "MODEL.BATCH_NORM_EPS": 1e-5,
    "BACKBONE.FREEZE_AT": 2,
    "FPN.NORM": "none",
    "FPN.ROI_RATIO_EPS": 1e-8,
    "FPN.ROI_LEVEL_EPS": 0.0,
    "RPN.ANCHOR_STRIDE": (4, 8, 16, 32, 64),
    "RPN.ANCHOR_SIZES": (32, 64, 128, 256, 512),
    "RPN.ASPECT_RATIOS": (0.5, 1.0, 2.0),
    "RPN.ANCHOR_ROUNDED": False,
    "RPN.ANCHOR_STEP_FROM_SIZE": False,
    "RPN.NUM_CONVS": 1,
    "RPN.PRE_NMS_TOP_N_TRAIN": 2000,
    "RPN.PRE_NMS_TOP_N_TEST": 1000,
    "RPN.POST_NMS_TOP_N_TRAIN": 1000,
    "RPN.POST_NMS_TOP_N_TEST": 1000,
    "RPN.NMS_THRESH": 0.7,
    "RPN.MIN_SIZE": 0.0,
    "RPN.SMOOTH_L1_BETA": 0.0,
    "RPN.LOSS_NORMALIZER": "batch_size",
    "FAST_RCNN.ROI_BOX_HEAD": "roi_2mlp_head",
    "FAST_RCNN.ROI_XFORM_METHOD": "ROIAlign",
    "FAST_RCNN.ROI_XFORM_ALIGNED": True,
    "FAST_RCNN.ROI_XFORM_RESOLUTION": (7, 7),
    "FAST_RCNN.ROI_XFORM_SAMPLING_RATIO": 0,
    "FAST_RCNN.BBOX_REG_WEIGHTS": (10.0, 10.0, 5.0, 5.0),
    "FAST_RCNN.SCORE_THRESH": 0.05,
    "FAST_RCNN.NMS": 0.5,
    "FAST_RCNN.MIN_SIZE": 0.0,
    "FAST_RCNN.DETECTIONS_PER_IMG": 100,
    "FAST_RCNN.SMOOTH_L1_BETA": 0.0,
    "MRCNN.NUM_CONVS": 4,
    "MRCNN.NORM": "none",
    "MRCNN.ROI_XFORM_METHOD": "ROIAlign",
    "MRCNN.ROI_XFORM_ALIGNED": True,
    "MRCNN.ROI_XFORM_RESOLUTION": (14, 14),
    "MRCNN.ROI_XFORM_SAMPLING_RATIO": 0,
    "MRCNN.RESOLUTION": (28, 28),
    "MRCNN.PASTE_METHOD": "pixel_centre",
    "TRAIN.SCALES": (640, 672, 704, 736, 768, 800),
    "TRAIN.MAX_SIZE": 1333,
    "TRAIN.BATCH_SIZE": 16,
    "TEST.SCALE": 800,
    "TEST.MAX_SIZE": 1333,
    "SOLVER.BASE_LR": 0.02,
    "SOLVER.WEIGHT_DECAY": 1e-4,
    "SOLVER.WARM_UP_ITERS": 1000,
    "SOLVER.WARM_UP_FACTOR": 0.001,
}
# By a part of the name.
BY_TRUNK = {
    "R_50": ("resnet50_1x64d", True, (1.0, 1.0, 1.0)),
    "R_101": ("resnet101_1x64d", True, (1.0, 1.0, 1.0)),
    "X_101": ("resnext101_32x8d", False, (57.375, 57.12, 58.395)),
}
BY_SCHEDULE = {"1x": (90000, (60000, 80000)), "3x": (270000, (210000, 250000))}
MODELS = ("R_50_FPN_1x", "R_50_FPN_3x", "R_101_FPN_3x", "X_101_32x8d_FPN_3x")


@pytest.mark.parametrize("branch", ["faster", "mask"])
@pytest.mark.parametrize("model", MODELS)
def test_the_yaml_says_what_detectron2_was_told(branch, model):
    cfg = default_cfg()
    merge_cfg_from_file(f"cfgs/rcnn/detectron2/{branch}_rcnn_{model}.yaml", cfg)
    for key, wanted in COMMON.items():
        section, name = key.split(".")
        assert cfg[section][name] == wanted, key
    trunk = (cfg.MODEL.CONV_BODY, cfg.BACKBONE.STRIDE_IN_1X1, cfg.INPUT.PIXEL_STD)
    assert trunk == next(values for name, values in BY_TRUNK.items() if name in model)
    schedule = (cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS)
    assert schedule == BY_SCHEDULE[model[-2:]]
    assert cfg.MODEL.MASK_ON is (branch == "mask")


# The image ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        # 800 / 640 = 1.25 and 642 * 1.25 = 802.5, a tie without rounding errors: it goes up.
        # Python's round would say 802, and so would cutting.
        ((640, 642), (800, 803)),
        ((646, 640), (808, 800)),  # 807.5
        ((640, 641), (800, 801)),  # 801.25
        # Held to 1333: 800 * 1333 / (1280 * 800 / 480) = 499.875.
        ((480, 1280), (500, 1333)),
        ((800, 800), (800, 800)),
    ],
)
def test_resized_sides_are_rounded_half_up(size, wanted):
    cfg = cfg_of()
    assert resized_size(size, 800, 1333, cfg.INPUT.RESIZE_ROUNDING) == wanted
    [found] = make_test_batch([np.zeros((*size, 3), np.uint8)], cfg).sizes
    assert found == wanted


def test_a_resize_is_pillows_and_antialiased():
    row = np.array([0, 70, 140, 210], np.uint8)
    image = np.repeat(row[None, :, None], 3, axis=2)
    # To half the width a triangle two pixels wide on either side weighs the pixels: around x = 1
    # the centres 0.5, 1.5 and 2.5 have 3/4, 3/4 and 1/4, so (0 * 3 + 70 * 3 + 140) / 7 = 50, and
    # (70 + 140 * 3 + 210 * 3) / 7 = 160. Not antialiased it would be 35 and 175.
    found = resize_image(image, (1, 2), cfg_of().INPUT.INTERPOLATION)
    assert found.dtype == np.uint8 and found[0, :, 0].tolist() == [50, 160]
    # Enlarged, it is plain bilinear: centres at 0.25, 0.75, 1.25 and 1.75 of two pixels.
    found = resize_image(image[:, 1:3], (1, 4), "pil")
    assert found[0, :, 1].tolist() == [70, 88, 123, 140]  # 87.5 and 122.5, halves up


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        # Of the pixel B = 10, G = 20, R = 30, minus 103.53, 116.28 and 123.675.
        (R_50, [-93.53, -96.28, -93.675]),
        # The same by 57.375, 57.12 and 58.395.
        (X_101, [-1.630153, -1.685574, -1.604161]),
    ],
)
def test_pixels_stay_bgr_and_the_padding_is_zero_after_normalisation(name, wanted):
    cfg = cfg_of(name)
    image = np.full((3, 5, 3), (10, 20, 30), np.uint8)
    batch = batch_images([image], cfg.INPUT.SIZE_DIVISIBILITY)
    x = PixelNorm(cfg.INPUT.CHANNEL_ORDER, cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD)(batch)
    assert x.shape == (1, 3, 32, 32)
    close(x[0, :, 2, 4], wanted)
    x[:, :, :3, :5] = 0
    assert not x.any()


# Trunk and pyramid -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "first", "second", "groups"), [(R_50, 2, 1, 1), (X_101, 1, 2, 32)]
)
def test_the_stride_is_in_the_first_1x1_but_for_resnext(name, first, second, groups):
    with torch.device("meta"):
        trunk = build_model("meta", cfg_of(name)).Conv_Body
    for stage in (trunk.layer2, trunk.layer3, trunk.layer4):
        assert (stage[0].conv1.stride, stage[0].conv2.stride) == ((first,) * 2, (second,) * 2)
        assert stage[0].downsample[0].stride == (2, 2)
        assert stage[0].conv2.groups == groups
    assert trunk.layer1[0].conv1.stride == trunk.layer1[0].conv2.stride == (1, 1)
    assert trunk.layer1[0].conv2.weight.shape[:2] == ((256, 8) if groups == 32 else (64, 64))
    assert {m.eps for m in trunk.modules() if isinstance(m, FrozenBatchNorm2d)} == {1e-5}


def test_a_frozen_norm_adds_1e_5_to_the_variance():
    norm = FrozenBatchNorm2d(1)
    state = {"weight": 2.0, "bias": 1.0, "running_mean": 3.0, "running_var": 3e-5}
    norm.load_state_dict({name: torch.tensor([value]) for name, value in state.items()})
    # The deviation is sqrt(4e-5) = 0.00632456: a deviation above the mean gives 2 * 1 + 1.
    close(norm(torch.full((1, 1, 1, 1), 3.00632456))[0, 0, 0, 0], 3.0, atol=2e-4)


def test_a_norm_without_statistics_has_mean_0_and_variance_1():
    state = {"stem.conv1.weight": torch.ones(2, 3, 7, 7), "res2.0.conv1.weight": torch.ones(2)}
    state |= {"stem.conv1.norm.weight": torch.ones(2), "stem.conv1.norm.bias": torch.zeros(2)}
    importer = find_importer(state)
    assert importer is not None
    converted = importer.convert(state).state
    assert converted["Conv_Body.bn1.running_mean"].tolist() == [0, 0]
    assert converted["Conv_Body.bn1.running_var"].tolist() == [1, 1]


def test_the_pyramid_doubles_its_maps_and_p6_takes_every_other_pixel():
    pyramid = FPN((1, 1, 1, 1), SCALES, 1)
    for conv in (*pyramid.lateral_convs, *pyramid.output_convs):
        nn.init.dirac_(conv.weight)  # every convolution copies
    coarse = torch.arange(6.0).view(1, 1, 2, 3)
    maps = [torch.zeros(1, 1, 2 * 2**n, 3 * 2**n) for n in (3, 2, 1)]
    found = pyramid([*maps, coarse])
    # A pixel of P5 becomes 2 x 2 in P4 and 8 x 8 in P2.
    assert found[2][0, 0].tolist() == [[0, 0, 1, 1, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5]] * 2
    assert found[0][0, 0, ::8, ::8].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert torch.equal(found[0], coarse.repeat_interleave(8, 2).repeat_interleave(8, 3))
    assert found[4].tolist() == [[[[0, 2]]]]


# Proposals ---------------------------------------------------------------------------------------


def test_anchors_are_not_rounded_and_the_first_cell_is_centred_on_the_corner():
    generator = build_rpn(8, cfg_of()).anchors
    maps = [torch.zeros(1, 8, 40 // 2**n, 56 // 2**n) for n in range(4)]
    levels = generator([*maps, torch.zeros(1, 8, 3, 4)])
    # Of area 32 * 32 and height / width 1/2: 32 * sqrt(2) = 45.2548 wide, half as high; 1; 2.
    wanted = [
        [-22.6274, -11.3137, 22.6274, 11.3137],
        [-16.0, -16.0, 16.0, 16.0],
        [-11.3137, -22.6274, 11.3137, 22.6274],
    ]
    close(levels[0][:3], wanted)
    close(levels[0][3:6], [[x1 + 4, y1, x2 + 4, y2] for x1, y1, x2, y2 in wanted])  # next column
    close(levels[0][3 * 56], [-22.6274, 4 - 11.3137, 22.6274, 4 + 11.3137])  # next row
    assert [level[1, 2].item() for level in levels] == [16, 32, 64, 128, 256]
    with_all_sizes = cfg_of()
    with_all_sizes.RPN.ANCHOR_STRIDE = (16,)
    [anchors] = build_rpn(8, with_all_sizes).anchors([torch.zeros(1, 8, 1, 1)])
    # On one level: sizes outside, ratios inside. Half the width of every third is the ratio 1.
    assert anchors[1::3, 2].tolist() == [16, 32, 64, 128, 256]
    close(anchors[:3], wanted)


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        (R_50, [0, 64, 128, 192], [0, 64, 128]),
        # 224 // 4 and 160 // 3.
        (TORCHVISION, [0, 56, 112, 168], [0, 53, 106]),
    ],
)
def test_anchors_of_p6_stand_64_apart_whatever_the_size(name, x, y):
    # Of an image padded to 160 x 224, P5 has 5 x 7 pixels and P6 3 x 4.
    maps = [torch.zeros(1, 8, 160 // s, 224 // s) for s in (4, 8, 16, 32)]
    p6 = build_rpn(8, cfg_of(name)).anchors([*maps, torch.zeros(1, 8, 3, 4)])[4]
    centres = (p6[1::3, :2] + p6[1::3, 2:]) / 2
    assert centres.view(3, 4, 2)[0, :, 0].tolist() == x
    assert centres.view(3, 4, 2)[:, 0, 1].tolist() == y


def test_a_delta_makes_a_box_at_most_1000_16ths_larger():
    box = torch.tensor([0.0, 0.0, 16.0, 16.0])
    # 16 * 1000 / 16 = 1000 pixels around the centre, 8; there is no limit to shrinking.
    decoded = decode_boxes(torch.tensor([0.0, 0.0, 10.0, -4.0]), box, (1, 1, 1, 1))
    half = 8 * math.exp(-4)
    close(decoded, [-492.0, 8 - half, 508.0, 8 + half], atol=1e-2)
    # Divided by the weights first: 50 / 5 = 10 is over the limit, log(1000 / 16) = 4.135, and
    # 20 / 5 = 4 under it. The centre moves by 5 / 10 of the width.
    decoded = decode_boxes(torch.tensor([5.0, 0.0, 50.0, 20.0]), box, (10, 10, 5, 5))
    close(decoded[[0, 2]], [16 - 500.0, 16 + 500.0], atol=1e-2)
    close(decoded[3] - decoded[1], 16 * math.exp(4), atol=1e-2)


def propose(levels: list[dict[float, list[float]]], pre: int, post: int, **rule) -> list:
    """Return the proposals of boxes by their logits, level by level, in a 100 x 100 image."""
    logits = [torch.tensor([list(level)]) for level in levels]
    anchors = [torch.tensor(list(level.values())) for level in levels]
    deltas = [torch.zeros(1, len(level), 4) for level in levels]
    own_rule = replace(build_rpn(8, cfg_of()).test_rule, **rule)
    own_rule = replace(own_rule, pre_nms_top_n=pre, post_nms_top_n=post)
    return select_proposals(logits, deltas, anchors, [(100, 100)], own_rule)[0].tolist()


def test_the_rule_of_proposals():
    rpn = build_rpn(8, cfg_of())
    assert rpn.test_rule == ProposalRule(
        pre_nms_top_n=1000, post_nms_top_n=1000, nms_thresh=0.7, min_size=0.0
    )
    assert rpn.train_rule == ProposalRule(
        pre_nms_top_n=2000, post_nms_top_n=1000, nms_thresh=0.7, min_size=0.0
    )


def test_proposals_are_chosen_by_logits():
    # The sigmoid of both is 1 in float32.
    assert propose([{20.0: A, 21.0: B}], 1, 10) == [B]
    # 10 x 10 and 9 x 10 overlap by 0.9: the second, of the larger logit, stays.
    smaller = [0.0, 0.0, 9.0, 10.0]
    assert propose([{20.0: A, 21.0: smaller}], 2, 10) == [smaller]


def test_empty_proposals_go_after_the_cut_of_each_level():
    outside = [101.0, 0.0, 120.0, 10.0]  # of no width once it is clipped
    assert propose([{9.0: outside, 8.0: A, 7.0: B}], 2, 10) == [A]
    over_the_edge = [90.0, -5.0, 120.0, 10.0]
    assert propose([{9.0: over_the_edge}], 2, 10) == [[90, 0, 100, 10]]
    thin = [0.0, 0.0, 0.0005, 10.0]  # torchvision drops sides below 0.001
    assert len(propose([{9.0: thin}], 2, 10)) == 1


def test_proposals_of_two_levels_share_the_total_but_not_the_nms():
    assert propose([{3.0: A, 1.0: B}, {2.0: A}], 10, 10) == [A, A, B]
    assert propose([{3.0: A, 1.0: B}, {2.0: C}], 10, 2) == [A, C]
    # An overlap of just 0.7 is let through.
    assert len(propose([{3.0: A, 1.0: [0.0, 0.0, 7.0, 10.0]}], 10, 10)) == 2
