"""Detectron2's RetinaNet: the facts by hand, and the same weights in a plain re-computation."""

from collections.abc import Iterator

import pytest
import torch

from pet.engine.predictor import Predictor
from pet.modeling.build import build_model
from pet.modeling.rcnn.retinanet import RetinaNet, RetinaNetLossRule, build_retinanet
from tests.exactness import detectron2_like as like
from tests.exactness import detectron2_like_trunk as trunk_like
from tests.exactness import detectron2_retinanet_like as retina_like
from tests.exactness.detectron2_cfg import cfg_of, close
from tests.exactness.test_detectron2_model import (
    check_detections,
    pictures,
    publish,
    trunk_state,
)

R_50, R_101 = "retinanet_R_50_FPN_3x", "retinanet_R_101_FPN_3x"
SIZES = ((140, 200), (90, 260), (201, 167))

# What it was told --------------------------------------------------------------------------------

FACTS = {
    "FPN.BODY": "fpn_p6p7",
    "FPN.P6_FROM": "res5",
    "FPN.NORM": "none",
    "INPUT.SIZE_DIVISIBILITY": 32,
    "MODEL.NUM_CLASSES": 81,
    "BACKBONE.STRIDE_IN_1X1": True,
    "RETINANET.NUM_CONVS": 4,
    "RETINANET.NORM": "none",
    "RETINANET.PRIOR_PROB": 0.01,
    "RETINANET.FG_IOU_THRESHOLD": 0.5,
    "RETINANET.BG_IOU_THRESHOLD": 0.4,
    "RETINANET.FOCAL_ALPHA": 0.25,
    "RETINANET.FOCAL_GAMMA": 2.0,
    "RETINANET.BOX_LOSS": "smooth_l1",
    "RETINANET.SMOOTH_L1_BETA": 0.0,
    "RETINANET.LOSS_NORMALIZER": "average",
    "RETINANET.PRE_NMS_TOP_N": 1000,
    "RETINANET.SCORE_THRESH": 0.05,
    "RETINANET.NMS": 0.5,
    "RETINANET.DETECTIONS_PER_IMG": 100,
    "SOLVER.BASE_LR": 0.01,
    "TRAIN.SCALES": (640, 672, 704, 736, 768, 800),
}


@pytest.mark.parametrize("name", ["retinanet_R_50_FPN_1x", R_50, R_101])
def test_the_yaml_says_what_detectron2_was_told(name):
    cfg = cfg_of(name)
    for key, wanted in FACTS.items():
        section, key_name = key.split(".")
        assert cfg[section][key_name] == wanted, key
    assert cfg.MODEL.RETINANET_ON and not cfg.MODEL.MASK_ON
    assert (cfg.MODEL.CONV_BODY == "resnet101_1x64d") is ("R_101" in name)
    assert (90000 if name.endswith("1x") else 270000) == cfg.SOLVER.MAX_ITER


# The model ---------------------------------------------------------------------------------------


def small_part() -> RetinaNet:
    return build_retinanet(8, [1 / 2**level for level in range(3, 8)], 81, cfg_of(R_50))


def test_anchors_are_not_rounded_and_sizes_stand_outside_ratios():
    maps = [torch.zeros(1, 8, side, side) for side in (8, 4, 2, 1, 1)]
    levels = small_part().anchors(maps)
    # 32, 32 * 2^(1/3) = 40.3175 and 32 * 2^(2/3) = 50.7968, each with the ratios 1/2, 1 and 2.
    close(levels[0][:2], [[-22.6274, -11.3137, 22.6274, 11.3137], [-16, -16, 16, 16]])
    close(levels[0][4], [-20.1587, -20.1587, 20.1587, 20.1587])
    close(levels[0][7], [-25.3984, -25.3984, 25.3984, 25.3984])
    close(levels[4][7] * 2, [-812.7493, -812.7493, 812.7493, 812.7493], atol=1e-3)
    for level, (anchors, stride) in enumerate(zip(levels, (8, 16, 32, 64, 128), strict=True)):
        assert len(anchors) == 9 * maps[level][0, 0].numel()
        torch.testing.assert_close(
            anchors, retina_like.grid_anchors(level, *maps[level].shape[-2:]), atol=1e-4, rtol=0
        )
        if len(anchors) > 9:
            close(anchors[9] - anchors[0], [float(stride), 0.0, float(stride), 0.0])


def test_p6_is_computed_from_res5_and_classes_have_no_background():
    with torch.device("meta"):
        model = build_model("meta", cfg_of(R_50))
    assert model.Conv_Body_FPN.p6.weight.shape == (256, 2048, 3, 3)
    assert model.Conv_Body_FPN.p7.weight.shape == (256, 256, 3, 3)
    assert model.RetinaNet.head.cls_logits.weight.shape == (9 * 80, 256, 3, 3)
    assert model.RetinaNet.head.bbox_pred.weight.shape == (36, 256, 3, 3)
    assert model.RetinaNet.loss_rule == RetinaNetLossRule(normalizer="average")


def test_the_losses_are_divided_by_an_average_that_starts_at_100():
    part = small_part()
    divided = part._normalized(*torch.tensor([[30.0, 10.0], [5.0, 0.0], [3.0, 1.0]]))
    # 0.9 * 100 + 0.1 * 4 = 90.4; the next time 0.9 * 90.4 + 0.1 * 1, as no foreground counts as 1.
    close(torch.stack(divided), [40 / 90.4, 5 / 90.4])
    divided = part._normalized(*torch.tensor([[30.0, 10.0], [0.0, 0.0], [0.0, 0.0]]))
    close(torch.stack(divided), [40 / 81.46, 0])


# Re-computed -------------------------------------------------------------------------------------


def head_shapes(classes: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for level, channels in zip((3, 4, 5), (512, 1024, 2048), strict=True):
        yield f"backbone.fpn_lateral{level}", (256, channels, 1, 1)
        yield f"backbone.fpn_output{level}", (256, 256, 3, 3)
    yield "backbone.top_block.p6", (256, 2048, 3, 3)
    yield "backbone.top_block.p7", (256, 256, 3, 3)
    for index in (0, 2, 4, 6):
        yield f"head.cls_subnet.{index}", (256, 256, 3, 3)
        yield f"head.bbox_subnet.{index}", (256, 256, 3, 3)
    yield "head.cls_score", (9 * classes, 256, 3, 3)
    yield "head.bbox_pred", (36, 256, 3, 3)


def random_model(seed: int, image, setting: like.Setting, classes: int = 80) -> trunk_like.State:
    """Return a model whose outputs differ in ``image``."""
    state = trunk_state(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for name, shape in head_shapes(classes):
        fan_in = shape[1] * shape[2] * shape[3]
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        state[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.05
    x, _ = like.preprocess(image, setting)
    maps = retina_like.pyramid(state, trunk_like.resnet(state, x, setting.stride_in_1x1))
    found = [retina_like.outputs(state, x) for x in maps]
    logits, deltas = (torch.cat(values) for values in zip(*found, strict=True))
    state["head.cls_score.weight"] *= 1.5 / logits.std()
    state["head.cls_score.bias"] -= 4.6
    state["head.bbox_pred.weight"] *= 0.2 / deltas.std()
    return state


@pytest.mark.parametrize(
    ("score_thresh", "max_detections"),
    [
        (0.05, 100),  # cut off, as in the published model
        (0.2, 2000),
    ],
)
def test_retinanet_gives_the_published_detections(score_thresh, max_detections, tmp_path):
    setting = like.Setting(128, 224, score_thresh=score_thresh, max_detections=max_detections)
    images = pictures(SIZES)
    with torch.inference_mode():
        state = random_model(0, images[0], setting)
        wanted = [retina_like.detect(state, image, setting) for image in images]
    publish(state, setting, tmp_path / "model_final.pkl")
    predictor = Predictor.from_config(
        f"cfgs/rcnn/detectron2/{R_50}.yaml",
        tmp_path / "model_final.pkl",
        [
            *("DEVICE", "cpu", "TEST.SCALE", setting.short_side),
            *("TEST.MAX_SIZE", setting.longest_side),
            *("RETINANET.SCORE_THRESH", score_thresh),
            *("RETINANET.DETECTIONS_PER_IMG", max_detections),
        ],
    )
    assert predictor.class_names[0] == "person" and len(predictor.class_names) == 80
    for image, expected in zip(images, wanted, strict=True):
        check_detections(predictor(image), expected)
