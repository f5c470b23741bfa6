"""What Detectron2 makes of keypoints, in plain torch and by hand, and Pet the same.

The re-computation is written from the facts of Detectron2's sources; the models are those of the
YAMLs under cfgs/rcnn/detectron2/.
"""

import math

import pytest
import torch
import torch.nn.functional as F

from pet.config import default_cfg, merge_cfg_from_file
from pet.engine.predictor import Predictor
from pet.modeling.rcnn.keypoint_rcnn import build_keypoint_rcnn
from pet.structures.keypoint_layout import COCO_PERSON
from tests.exactness import detectron2_like as like
from tests.exactness import detectron2_like_trunk as trunk_like
from tests.exactness.detectron2_cfg import SCALES
from tests.exactness.test_detectron2_model import liven as liven_boxes
from tests.exactness.test_detectron2_model import pictures, publish, random_model

NAME = "keypoint_rcnn_R_50_FPN_3x"
SETTING = like.Setting(short_side=128, longest_side=192, score_thresh=0.0, max_detections=12)


def heatmaps(
    state: trunk_like.State, maps: list[torch.Tensor], boxes: torch.Tensor
) -> torch.Tensor:
    """Return the logits (N, 17, 56, 56) of the points in boxes."""
    x = like.pool(maps, boxes, 14)
    for index in range(1, 9):
        x = trunk_like.conv(state, f"roi_heads.keypoint_head.conv_fcn{index}", x).relu()
    name = "roi_heads.keypoint_head.score_lowres"
    x = F.conv_transpose2d(x, state[f"{name}.weight"], state[f"{name}.bias"], 2, 1)
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def decode(maps: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    """Return x, y and score (17, 3) of the heatmaps (17, 56, 56) of one box."""
    x1, y1, x2, y2 = box.tolist()
    width, height = max(x2 - x1, 1), max(y2 - y1, 1)
    columns, rows = math.ceil(width), math.ceil(height)
    large = F.interpolate(maps[None], (rows, columns), mode="bicubic", align_corners=False)[0]
    points = []
    for low, high in zip(maps, large, strict=True):
        place = int(high.flatten().argmax())
        row, column = divmod(place, columns)
        x = (column + 0.5) * width / columns + x1
        y = (row + 0.5) * height / rows + y1
        score = (high[row, column] - high.max()).exp() / (low - high.max()).exp().sum()
        points.append([x, y, float(score)])
    return torch.tensor(points)


def add_keypoint_head(state: trunk_like.State, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw(name: str, shape: tuple[int, ...], fan_in: int, outputs: int) -> None:
        spread = (2 / fan_in) ** 0.5
        key = f"roi_heads.keypoint_head.{name}"
        state[f"{key}.weight"] = torch.randn(shape, generator=generator) * spread
        state[f"{key}.bias"] = torch.randn(outputs, generator=generator) * 0.05

    for index in range(1, 9):
        channels = 256 if index == 1 else 512
        draw(f"conv_fcn{index}", (512, channels, 3, 3), channels * 9, 512)
    draw("score_lowres", (512, 17, 4, 4), 512 * 4, 17)


def test_keypoint_rcnn_gives_the_published_detections(tmp_path):
    state = random_model(8, has_masks=False, classes=1)
    add_keypoint_head(state, 9)
    [image] = pictures([(140, 200)])
    with torch.inference_mode():
        liven_boxes(state, image, SETTING)
        x, size = like.preprocess(image, SETTING)
        maps = trunk_like.fpn(state, trunk_like.resnet(state, x, SETTING.stride_in_1x1))
        boxes, scores, classes = like.roi_heads(
            state, maps, like.rpn(state, maps, size), size, SETTING
        )
        logits = heatmaps(state, maps, boxes)
        state["roi_heads.keypoint_head.score_lowres.weight"] *= 3.0 / logits.std()
        logits = heatmaps(state, maps, boxes)
        points = torch.stack([decode(m, box) for m, box in zip(logits, boxes, strict=True)])
    points = points * torch.tensor([image.shape[1] / size[1], image.shape[0] / size[0], 1.0])
    found = like.in_image(
        {"boxes": boxes, "scores": scores, "classes": classes, "points": points},
        size,
        image.shape[:2],
    )
    publish(state, SETTING, tmp_path / "model_final.pkl")
    opts = [
        *("DEVICE", "cpu", "TEST.SCALE", SETTING.short_side, "TEST.MAX_SIZE", SETTING.longest_side),
        *("FAST_RCNN.SCORE_THRESH", 0.0, "FAST_RCNN.DETECTIONS_PER_IMG", SETTING.max_detections),
    ]
    predictor = Predictor.from_config(
        f"cfgs/rcnn/detectron2/{NAME}.yaml", tmp_path / "model_final.pkl", opts
    )
    assert predictor.class_names == ("person",)
    assert predictor.keypoint_layout == COCO_PERSON
    ours = predictor(image)
    assert len(ours) == len(found["scores"]) >= 10
    torch.testing.assert_close(ours.boxes, found["boxes"], atol=1e-3, rtol=0)
    torch.testing.assert_close(ours.scores, found["scores"], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.keypoints[..., :2], found["points"][..., :2], atol=1e-3, rtol=0)
    torch.testing.assert_close(
        ours.keypoints[..., 2], found["points"][..., 2], atol=1e-4, rtol=1e-3
    )
    assert found["points"][..., 2].max() > 0.01


def cfg_of(name: str):
    cfg = default_cfg()
    merge_cfg_from_file(f"cfgs/rcnn/{name}.yaml", cfg)
    return cfg


@pytest.mark.parametrize(
    "name",
    [
        "keypoint_rcnn_R_50_FPN_1x",
        "keypoint_rcnn_R_50_FPN_3x",
        "keypoint_rcnn_R_101_FPN_3x",
        "keypoint_rcnn_X_101_32x8d_FPN_3x",
    ],
)
def test_the_values_of_the_configs(name):
    cfg = cfg_of(f"detectron2/{name}")
    assert (cfg.MODEL.NUM_CLASSES, cfg.MODEL.KEYPOINT_ON, cfg.MODEL.MASK_ON) == (2, True, False)
    assert (cfg.RPN.POST_NMS_TOP_N_TRAIN, cfg.RPN.POST_NMS_TOP_N_TEST) == (1500, 1000)
    assert cfg.FAST_RCNN.SMOOTH_L1_BETA == 0.5
    assert (cfg.KRCNN.PIXEL_SHIFT, cfg.KRCNN.SCORE_METHOD) == (0.5, "probability")
    assert cfg.KRCNN.LOSS_NORMALIZER == "visible"
    assert cfg.KRCNN.MIN_KEYPOINTS_PER_IMAGE == 1
    with torch.device("meta"):
        branch = build_keypoint_rcnn(256, SCALES, cfg)
    assert (branch.pooler.resolution, branch.pooler.sampling_ratio) == ((14, 14), 0)
    assert branch.pooler.aligned and branch.resolution == (56, 56)
    assert len(branch.head.convs) == 8


def test_torchvision_differs():
    cfg = cfg_of("torchvision/keypointrcnn_resnet50_fpn")
    assert (cfg.KRCNN.PIXEL_SHIFT, cfg.KRCNN.SCORE_METHOD) == (0.0, "one")
    with torch.device("meta"):
        branch = build_keypoint_rcnn(256, SCALES, cfg)
    assert (branch.pooler.aligned, branch.pooler.sampling_ratio) == (False, 2)
