"""Cascade R-CNN and the RPN alone, in Pet and in a plain re-computation of Detectron2."""

import pytest
import torch

from pet.config import default_cfg, merge_cfg_from_file
from pet.engine.predictor import Predictor
from tests.exactness import detectron2_like as like
from tests.exactness import detectron2_like_trunk as trunk_like
from tests.exactness.detectron2_cfg import cfg_of
from tests.exactness.test_detectron2_model import (
    SIZES,
    check_detections,
    liven,
    pictures,
    publish,
    random_model,
)

SETTING = like.Setting(160, 256, score_thresh=0.02)


def cascade_model(seed: int, image) -> trunk_like.State:
    """Return a model whose three stages differ, and whose predictions do in ``image``."""
    state = random_model(seed, has_masks=True)
    liven(state, image, SETTING)
    for name in [name for name in state if ".box_head." in name or ".box_predictor." in name]:
        value = state.pop(name)
        value = value[:4] if "bbox_pred" in name else value
        part, layer = name.rsplit(".", 2)[0], name.split(".", 2)[2]
        for stage in range(3):
            generator = torch.Generator().manual_seed(seed + stage)
            order = torch.randperm(value.shape[-1], generator=generator)
            is_weight = name.endswith("weight")
            state[f"{part}.{stage}.{layer}"] = value[:, order] if is_weight else value.clone()
    x, size = like.preprocess(image, SETTING)
    maps = trunk_like.fpn(state, trunk_like.resnet(state, x, SETTING.stride_in_1x1))
    proposals = like.rpn(state, maps, size)
    for stage in range(3):  # no class is the best everywhere
        logits, _ = like.cascade_outputs(state, maps, proposals, stage)
        state[f"roi_heads.box_predictor.{stage}.cls_score.bias"] -= logits.mean(0)
    return state


def predictor_of(name: str, folder) -> Predictor:
    return Predictor.from_config(
        f"cfgs/rcnn/detectron2/{name}.yaml",
        folder / "model_final.pkl",
        [
            *("DEVICE", "cpu", "TEST.SCALE", SETTING.short_side),
            *("TEST.MAX_SIZE", SETTING.longest_side),
            *("FAST_RCNN.SCORE_THRESH", SETTING.score_thresh),
        ],
    )


def test_cascade_mask_rcnn_gives_the_published_detections(tmp_path):
    images = pictures(SIZES[1:3])
    with torch.inference_mode():
        state = cascade_model(0, images[0])
        wanted = [like.detect(state, image, SETTING) for image in images]
    publish(state, SETTING, tmp_path / "model_final.pkl")
    predictor = predictor_of("cascade_mask_rcnn_R_50_FPN_3x", tmp_path)
    for image, expected in zip(images, wanted, strict=True):
        check_detections(predictor(image), expected)
        assert len(expected["classes"].unique()) > 5


def test_stages_matter():
    """The re-computation tells a cascade from its first stage."""
    image = pictures(SIZES[2:3])[0]
    with torch.inference_mode():
        state = cascade_model(0, image)
        x, size = like.preprocess(image, SETTING)
        maps = trunk_like.fpn(state, trunk_like.resnet(state, x, SETTING.stride_in_1x1))
        proposals = like.rpn(state, maps, size)
        boxes, scores, _ = like.cascade_heads(state, maps, proposals, size, SETTING)
        logits, deltas = like.cascade_outputs(state, maps, proposals, 0)
        alone = like.clip(like.decode(deltas, proposals, like.CASCADE_WEIGHTS[0]), size)
    assert torch.cdist(boxes, alone, p=float("inf")).min(1).values.median() > 0.3
    assert (scores.max() - logits.softmax(1)[:, :-1].max()).abs() > 1e-3


def test_the_rpn_alone_gives_the_published_proposals(tmp_path):
    images = pictures(SIZES[1:3])
    with torch.inference_mode():
        state = random_model(2, has_masks=False)
        liven(state, images[0], SETTING)
        state = {name: value for name, value in state.items() if "roi_heads" not in name}
        wanted = []
        for image in images:
            x, size = like.preprocess(image, SETTING)
            maps = trunk_like.fpn(state, trunk_like.resnet(state, x, SETTING.stride_in_1x1))
            boxes, logits = like.scored_proposals(state, maps, size)
            found = {"boxes": boxes[:1000], "scores": logits[:1000].sigmoid()}
            wanted.append(like.in_image(found, size, image.shape[:2]))
    publish(state, SETTING, tmp_path / "model_final.pkl")
    predictor = predictor_of("rpn_R_50_FPN_1x", tmp_path)
    assert predictor.class_names == ("object",)
    for image, expected in zip(images, wanted, strict=True):
        expected["classes"] = torch.zeros(len(expected["scores"]), dtype=torch.long)
        check_detections(predictor(image), expected)


# The values of the YAMLs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("cascade_mask_rcnn_R_50_FPN_1x", (60000, 80000)),
        ("cascade_mask_rcnn_R_50_FPN_3x", (210000, 250000)),
    ],
)
def test_the_yaml_of_a_cascade_says_what_detectron2_was_told(name, steps):
    cfg = cfg_of(name)
    assert cfg.MODEL.CASCADE_ON and cfg.MODEL.MASK_ON
    assert steps == cfg.SOLVER.STEPS
    assert cfg.RPN.POST_NMS_TOP_N_TRAIN == 2000
    assert cfg.CASCADE_RCNN.FG_IOU_THRESHOLD == (0.5, 0.6, 0.7)
    assert cfg.CASCADE_RCNN.BBOX_REG_WEIGHTS == like.CASCADE_WEIGHTS
    assert cfg.CASCADE_RCNN.STAGE_WEIGHTS == (1, 1, 1)
    differing = {"RPN.POST_NMS_TOP_N_TRAIN", "MODEL.CASCADE_ON", "CKPT"}
    plain = cfg_of(name.replace("cascade_", ""))
    for section, keys in plain.items():
        for key, value in keys.items() if isinstance(keys, dict) else ():
            assert cfg[section][key] == value or f"{section}.{key}" in differing, key


def test_the_yaml_of_the_rpn_says_what_detectron2_was_told():
    cfg = default_cfg()
    merge_cfg_from_file("cfgs/rcnn/detectron2/rpn_R_50_FPN_1x.yaml", cfg)
    assert cfg.MODEL.RPN_ONLY and not cfg.MODEL.MASK_ON
    assert (cfg.RPN.PRE_NMS_TOP_N_TEST, cfg.RPN.POST_NMS_TOP_N_TEST) == (1000, 1000)
    assert cfg.SOLVER.STEPS == (60000, 80000)
