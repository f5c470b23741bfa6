"""Detectron2's models beyond Faster and Mask R-CNN with FPN: each is the model of its config."""

from collections.abc import Callable

import pytest
import torch

from pet.config import CfgNode, default_cfg, merge_cfg_from_file
from pet.modeling.build import build_model
from pet.weights.config_requirements import contradictions
from pet.weights.formats import Converted, find_importer
from pet.weights.load import compare, in_model_places
from tests.source_code import ROOT
from tests.weights.foreign_states import (
    NORM,
    R50,
    R101,
    Shapes,
    caffe2_trunk,
    detectron2_detector,
    detectron2_trunk,
    filled,
    layer,
    light,
    small_detectron2_detector,
)


def convert(state: dict[str, torch.Tensor]) -> Converted:
    return find_importer(state).convert(state)


def cfg_of(name: str) -> CfgNode:
    cfg = default_cfg()
    merge_cfg_from_file(ROOT / f"cfgs/rcnn/detectron2/{name}.yaml", cfg)
    return cfg


def model_state(cfg: CfgNode) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return build_model("meta", cfg).state_dict()


def without_pyramid(depths: tuple[int, ...], form: str, masks: bool) -> Shapes:
    """Return the keys of a model of 80 classes on res4 ("C4") or on a dilated res5 ("DC5")."""
    dim = 1024 if form == "C4" else 2048
    shapes = detectron2_trunk(depths, prefix="backbone.")
    rpn, heads = "proposal_generator.rpn_head", "roi_heads"
    shapes |= layer(f"{rpn}.conv", (dim, dim, 3, 3))
    shapes |= layer(f"{rpn}.objectness_logits", (15, dim, 1, 1))
    shapes |= layer(f"{rpn}.anchor_deltas", (60, dim, 1, 1))
    if form == "C4":
        shapes = {key.replace("backbone.res5", f"{heads}.res5"): s for key, s in shapes.items()}
        box_dim = mask_dim = 2048
    else:
        shapes |= layer(f"{heads}.box_head.fc1", (1024, dim * 49))
        shapes |= layer(f"{heads}.box_head.fc2", (1024, 1024))
        box_dim, mask_dim = 1024, 256
    shapes |= layer(f"{heads}.box_predictor.cls_score", (81, box_dim))
    shapes |= layer(f"{heads}.box_predictor.bbox_pred", (320, box_dim))
    if masks:
        for index in range(1, 5) if form == "DC5" else ():
            dim_in = dim if index == 1 else 256
            shapes |= layer(f"{heads}.mask_head.mask_fcn{index}", (256, dim_in, 3, 3))
        shapes |= layer(f"{heads}.mask_head.deconv", (mask_dim, 256, 2, 2), outputs=256)
        shapes |= layer(f"{heads}.mask_head.predictor", (80, 256, 1, 1))
    return shapes


def with_dcn(shapes: Shapes) -> Shapes:
    """Add what deformable convolutions have in res3 .. res5."""
    for key, shape in list(shapes.items()):
        if ".conv2.weight" in key and ".res2." not in key:
            name = key.removesuffix(".conv2.weight")
            shapes |= layer(f"{name}.conv2_offset", (18, shape[1], 3, 3))
    return shapes


def with_norms(shapes: Shapes, parts: tuple[str, ...]) -> Shapes:
    """Return the keys with norms of ``parts`` everywhere, and 4 convolutions ahead of fc1."""
    shapes = {key: shape for key, shape in shapes.items() if ".norm." not in key}
    del shapes["roi_heads.box_head.fc2.weight"], shapes["roi_heads.box_head.fc2.bias"]
    for index in range(1, 5):
        shapes |= layer(f"roi_heads.box_head.conv{index}", (256, 256, 3, 3))
    for key, shape in list(shapes.items()):
        conv, _, parameter = key.rpartition(".")
        in_head = "fpn_" in conv or ".box_head.conv" in conv or "mask_fcn" in conv
        if parameter == "weight" and (in_head or "bottom_up" in conv):
            shapes.pop(f"{conv}.bias", None)
            shapes |= {f"{conv}.norm.{part}": shape[:1] for part in parts}
    return shapes


def check(name: str, shapes: Shapes) -> None:
    cfg = cfg_of(name)
    state = light(shapes)
    converted = convert(state)
    report = compare(model_state(cfg), converted.state, name)
    assert (report.missing, report.skipped, report.mismatched) == ((), (), ())
    assert (converted.not_needed, converted.no_place) == ((), ())
    assert contradictions(converted.expects, cfg, report.loaded) == []


@pytest.mark.parametrize("form", ["C4", "DC5"])
@pytest.mark.parametrize("kind", ["faster", "mask"])
@pytest.mark.parametrize(("depth", "schedule"), [("50", "1x"), ("50", "3x"), ("101", "3x")])
def test_models_without_pyramid(kind, form, depth, schedule):
    depths = R50 if depth == "50" else R101
    name = f"{kind}_rcnn_R_{depth}_{form}_{schedule}"
    check(name, without_pyramid(depths, form, kind == "mask"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("mask_rcnn_R_50_FPN_1x_dconv_c3-c5", with_dcn),
        ("mask_rcnn_R_50_FPN_3x_dconv_c3-c5", with_dcn),
        ("mask_rcnn_R_50_FPN_3x_gn", lambda shapes: with_norms(shapes, ("weight", "bias"))),
        ("mask_rcnn_R_50_FPN_3x_syncbn", lambda shapes: with_norms(shapes, NORM)),
    ],
)
def test_other_norms_and_convolutions(name: str, change: Callable[[Shapes], Shapes]):
    check(name, change(detectron2_detector()))


def test_a_dilated_res5_is_asked_for():
    state = light(without_pyramid(R50, "DC5", masks=False))
    cfg = cfg_of("faster_rcnn_R_50_DC5_1x")
    cfg.BACKBONE.RES5_DILATION = 1
    converted = convert(state)
    differing = contradictions(converted.expects, cfg, converted.state)
    assert differing == [("BACKBONE.RES5_DILATION", 1, 2)]


def test_imagenet_weights_fill_trunk_and_res5_head():
    state = light(caffe2_trunk(R50))
    converted = convert(state)
    model = model_state(cfg_of("mask_rcnn_R_50_C4_3x"))
    report = compare(model, in_model_places(converted.state, model), "R-50")
    assert not report.skipped and not report.mismatched
    trunk_and_res5 = ("Conv_Body.", "Fast_RCNN.head.layer4.")
    assert set(report.loaded) == {key for key in model if key.startswith(trunk_and_res5)}
    assert len([key for key in report.loaded if "layer4.2.bn3" in key]) == 4


def as_cascade(shapes):
    """Return the keys of a Cascade R-CNN, given those of a detector of one stage."""
    staged = {}
    for key, shape in shapes.items():
        part, _, layer = key.removeprefix("roi_heads.").partition(".")
        if part not in ("box_head", "box_predictor"):
            staged[key] = shape
            continue
        rows = 4 if layer.startswith("bbox_pred") else shape[0]
        staged |= {f"roi_heads.{part}.{n}.{layer}": (rows, *shape[1:]) for n in range(3)}
    return staged


def test_the_cascade_and_the_rpn_of_the_zoo_are_the_models_of_their_configs():
    shapes = detectron2_detector(R50)
    rpn = {key: shape for key, shape in shapes.items() if not key.startswith("roi_heads.")}
    for name, published in (
        ("cascade_mask_rcnn_R_50_FPN_1x", as_cascade(shapes)),
        ("cascade_mask_rcnn_R_50_FPN_3x", as_cascade(shapes)),
        ("rpn_R_50_FPN_1x", rpn),
    ):
        cfg = cfg_of(name)
        converted = convert(light(published))
        report = compare(model_state(cfg), converted.state, name)
        assert (report.missing, report.skipped, report.mismatched) == ((), (), ())
        assert (converted.not_needed, converted.no_place) == ((), ())
        assert contradictions(converted.expects, cfg, report.loaded) == []


def test_a_cascade_says_what_it_needs():
    cfg = cfg_of("cascade_mask_rcnn_R_50_FPN_1x")
    cfg.CASCADE_RCNN.BBOX_REG_WEIGHTS = ((10.0, 10.0, 5.0, 5.0),) * 3
    cfg.FAST_RCNN.ROI_XFORM_SAMPLING_RATIO = 2
    cfg.MODEL.CLASS_LABELS = "category_id"
    converted = convert(light(as_cascade(detectron2_detector(R50))))
    differing = {key for key, _, _ in contradictions(converted.expects, cfg, converted.state)}
    assert differing == {
        "CASCADE_RCNN.BBOX_REG_WEIGHTS",
        "FAST_RCNN.ROI_XFORM_SAMPLING_RATIO",
        "MODEL.CLASS_LABELS",
    }


def test_a_cascade():
    state = filled(as_cascade(small_detectron2_detector(num_classes=2)))
    state["roi_heads.box_predictor.1.cls_score.bias"] = torch.tensor([1.0, 2.0, 9.0])
    converted = convert(state)
    assert converted.no_place == ()
    assert converted.state["Cascade_RCNN.stages.1.predictor.cls_score.bias"].tolist() == [9, 1, 2]
    for ours, theirs in {
        "Cascade_RCNN.stages.2.predictor.bbox_pred.weight": "box_predictor.2.bbox_pred.weight",
        "Cascade_RCNN.stages.0.head.fc1.weight": "box_head.0.fc1.weight",
        "Cascade_RCNN.stages.2.head.fc2.bias": "box_head.2.fc2.bias",
    }.items():
        assert torch.equal(converted.state[ours], state[f"roi_heads.{theirs}"]), ours
    masks = converted.state["Mask_RCNN.predictor.mask_logits.bias"].tolist()
    assert masks == [0.0, *state["roi_heads.mask_head.predictor.bias"].tolist()]
