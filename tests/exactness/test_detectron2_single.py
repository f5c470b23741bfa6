"""The models without pyramid, C4 and DC5, give what a plain re-computation of Detectron2 gives."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from pet.engine.predictor import Predictor
from tests.exactness import detectron2_like as like
from tests.exactness import detectron2_like_single as single
from tests.exactness import detectron2_like_trunk as trunk_like
from tests.exactness.test_detectron2_model import (
    check_detections,
    pictures,
    publish,
    trunk_state,
)

SETTING = like.Setting(short_side=112, longest_side=160, score_thresh=0.04)
CLASSES, PROPOSALS, FC, CONV = 80, 60, 64, 32


def head_shapes(form: str, has_masks: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the names and the shapes of the weights behind the trunk and res5."""
    dim = 1024 if form == "C4" else 2048
    yield "proposal_generator.rpn_head.conv", (dim, dim, 3, 3)
    yield "proposal_generator.rpn_head.objectness_logits", (15, dim, 1, 1)
    yield "proposal_generator.rpn_head.anchor_deltas", (60, dim, 1, 1)
    if form == "DC5":
        yield "roi_heads.box_head.fc1", (FC, dim * 7 * 7)
        yield "roi_heads.box_head.fc2", (FC, FC)
    yield "roi_heads.box_predictor.cls_score", (CLASSES + 1, 2048 if form == "C4" else FC)
    yield "roi_heads.box_predictor.bbox_pred", (4 * CLASSES, 2048 if form == "C4" else FC)
    if has_masks:
        for index in (1, 2, 3, 4) if form == "DC5" else ():
            yield f"roi_heads.mask_head.mask_fcn{index}", (CONV, dim if index == 1 else CONV, 3, 3)
        yield "roi_heads.mask_head.deconv", (2048 if form == "C4" else CONV, CONV, 2, 2)
        yield "roi_heads.mask_head.predictor", (CLASSES, CONV, 1, 1)


def random_model(form: str, has_masks: bool) -> trunk_like.State:
    state = trunk_state(0, prefix="backbone.")
    if form == "C4":
        state = {k.replace("backbone.res5", "roi_heads.res5"): v for k, v in state.items()}
    generator = torch.Generator().manual_seed(1)
    for name, shape in head_shapes(form, has_masks):
        fan_in = shape[0] if "deconv" in name else int(np.prod(shape[1:]))
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        bias = shape[1] if "deconv" in name else shape[0]
        state[f"{name}.bias"] = torch.randn(bias, generator=generator) * 0.05
    return state


def liven(state: trunk_like.State, image: np.ndarray) -> None:
    """Scale the predictors' weights, so that what they predict in ``image`` differs, in place."""

    def spread(name: str, output: torch.Tensor, wanted: float) -> None:
        state[f"{name}.weight"] *= wanted / output.std()

    x, size = like.preprocess(image, SETTING)
    x = single.features(state, x, SETTING)
    logits, deltas = like.rpn_outputs(state, x)
    spread("proposal_generator.rpn_head.objectness_logits", logits, 2.0)
    spread("proposal_generator.rpn_head.anchor_deltas", deltas, 0.2)
    proposals = single.rpn(state, x, size, PROPOSALS)
    outputs = single.box_outputs(state, x, proposals, SETTING)
    for name, output, wanted in zip(("cls_score", "bbox_pred"), outputs, (1.5, 1.0), strict=True):
        # From RoI to RoI: averaged over the cells, they differ little from their means.
        factor = wanted / (output - output.mean(0)).std()
        state[f"roi_heads.box_predictor.{name}.weight"] *= factor
        state[f"roi_heads.box_predictor.{name}.bias"].sub_(output.mean(0)).mul_(factor)
    if "roi_heads.mask_head.predictor.weight" in state:
        logits = single.mask_logits(state, x, proposals[:20], SETTING)
        means = logits.mean((0, 2, 3))
        factor = 2.0 / (logits - means[:, None, None]).std()
        state["roi_heads.mask_head.predictor.weight"] *= factor
        state["roi_heads.mask_head.predictor.bias"].sub_(means).mul_(factor)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("mask_rcnn_R_50_C4_3x", "ROIAlign"),
        ("faster_rcnn_R_50_C4_1x", "ROIPool"),
        ("mask_rcnn_R_50_DC5_3x", "ROIAlign"),
    ],
)
def test_the_published_detections(name, method, tmp_path):
    form = name.split("_")[4]
    [image] = pictures([(141, 190)])
    with torch.inference_mode():
        state = random_model(form, name.startswith("mask"))
        liven(state, image)
        pool = single.align if method == "ROIAlign" else single.max_pool
        wanted = single.detect(state, image, SETTING, PROPOSALS, pool)
    publish(state, SETTING, tmp_path / "model_final.pkl")
    predictor = Predictor.from_config(
        f"cfgs/rcnn/detectron2/{name}.yaml",
        tmp_path / "model_final.pkl",
        [
            *("DEVICE", "cpu"),
            *("TEST.SCALE", SETTING.short_side, "TEST.MAX_SIZE", SETTING.longest_side),
            *("FAST_RCNN.SCORE_THRESH", SETTING.score_thresh),
            *("RPN.POST_NMS_TOP_N_TEST", PROPOSALS, "MRCNN.CONV_DIM", CONV),
            *("FAST_RCNN.ROI_XFORM_METHOD", method, "FAST_RCNN.MLP_HEAD_DIM", FC),
        ],
    )
    check_detections(predictor(image), wanted)
