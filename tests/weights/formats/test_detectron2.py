"""Detectron2's names and class order, against models and against values worked out by hand."""

import pytest
import torch

from pet.config import default_cfg, merge_cfg_from_file
from pet.modeling.build import build_model
from pet.weights.config_requirements import contradictions
from pet.weights.formats import find_importer
from pet.weights.formats.base import describe_no_place
from pet.weights.load import compare
from tests.source_code import ROOT
from tests.weights.foreign_states import (
    NORM,
    R50,
    R101,
    detectron2_detector,
    detectron2_keypoint_head,
    detectron2_trunk,
    filled,
    layer,
    light,
    small_detectron2_detector,
)

_PREDICTOR = "Fast_RCNN.predictor"


def convert(state):
    return find_importer(state).convert(state)


def small_detector(num_classes=2):
    return filled(small_detectron2_detector(num_classes))


@pytest.mark.parametrize(
    ("name", "depths", "groups", "masks"),
    [
        ("faster_rcnn_R_50_FPN_1x", R50, 1, False),
        ("faster_rcnn_R_50_FPN_3x", R50, 1, False),
        ("faster_rcnn_R_101_FPN_3x", R101, 1, False),
        ("faster_rcnn_X_101_32x8d_FPN_3x", R101, 32, False),
        ("mask_rcnn_R_50_FPN_1x", R50, 1, True),
        ("mask_rcnn_R_50_FPN_3x", R50, 1, True),
        ("mask_rcnn_R_101_FPN_3x", R101, 1, True),
        ("mask_rcnn_X_101_32x8d_FPN_3x", R101, 32, True),
    ],
)
def test_each_model_of_the_zoo_is_the_model_of_its_config(name, depths, groups, masks):
    cfg = default_cfg()
    merge_cfg_from_file(ROOT / f"cfgs/rcnn/detectron2/{name}.yaml", cfg)
    with torch.device("meta"):
        model_state = build_model("meta", cfg).state_dict()
    converted = convert(light(detectron2_detector(depths, groups, masks=masks)))
    report = compare(model_state, converted.state, name)
    assert (report.missing, report.skipped, report.mismatched) == ((), (), ())
    assert (converted.not_needed, converted.no_place) == ((), ())
    assert contradictions(converted.expects, cfg, report.loaded) == []


@pytest.mark.parametrize(
    ("name", "depths", "groups"),
    [
        ("keypoint_rcnn_R_50_FPN_1x", R50, 1),
        ("keypoint_rcnn_R_50_FPN_3x", R50, 1),
        ("keypoint_rcnn_R_101_FPN_3x", R101, 1),
        ("keypoint_rcnn_X_101_32x8d_FPN_3x", R101, 32),
    ],
)
def test_each_keypoint_model_of_the_zoo_is_the_model_of_its_config(name, depths, groups):
    cfg = default_cfg()
    merge_cfg_from_file(ROOT / f"cfgs/rcnn/detectron2/{name}.yaml", cfg)
    with torch.device("meta"):
        model_state = build_model("meta", cfg).state_dict()
    shapes = detectron2_detector(depths, groups, 1, masks=False) | detectron2_keypoint_head()
    converted = convert(light(shapes))
    report = compare(model_state, converted.state, name)
    assert (report.missing, report.skipped, report.mismatched) == ((), (), ())
    assert (converted.not_needed, converted.no_place) == ((), ())
    assert contradictions(converted.expects, cfg, report.loaded) == []


def test_keypoint_names_by_hand():
    state = small_detector() | filled(detectron2_keypoint_head(dim=4, width=6, points=5))
    converted = convert(state).state
    head = "roi_heads.keypoint_head"
    for ours, theirs in {
        "Keypoint_RCNN.head.convs.0.weight": f"{head}.conv_fcn1.weight",
        "Keypoint_RCNN.head.convs.7.bias": f"{head}.conv_fcn8.bias",
        "Keypoint_RCNN.predictor.deconv.weight": f"{head}.score_lowres.weight",
    }.items():
        assert torch.equal(converted[ours], state[theirs]), ours


def test_names_by_hand():
    state = small_detector()
    converted = convert(state).state
    trunk = "backbone.bottom_up."
    for ours, theirs in {
        "Conv_Body.conv1.weight": f"{trunk}stem.conv1.weight",
        "Conv_Body.bn1.running_var": f"{trunk}stem.conv1.norm.running_var",
        "Conv_Body.layer1.0.conv1.weight": f"{trunk}res2.0.conv1.weight",
        "Conv_Body.layer4.0.bn3.bias": f"{trunk}res5.0.conv3.norm.bias",
        "Conv_Body.layer2.0.downsample.0.weight": f"{trunk}res3.0.shortcut.weight",
        "Conv_Body.layer2.0.downsample.1.running_mean": f"{trunk}res3.0.shortcut.norm.running_mean",
        "Conv_Body_FPN.lateral_convs.0.weight": "backbone.fpn_lateral2.weight",
        "Conv_Body_FPN.output_convs.3.bias": "backbone.fpn_output5.bias",
        "RPN.head.convs.0.weight": "proposal_generator.rpn_head.conv.weight",
        "RPN.head.cls_logits.bias": "proposal_generator.rpn_head.objectness_logits.bias",
        "RPN.head.bbox_pred.weight": "proposal_generator.rpn_head.anchor_deltas.weight",
        "Fast_RCNN.head.fc1.weight": "roi_heads.box_head.fc1.weight",
        "Fast_RCNN.head.fc2.bias": "roi_heads.box_head.fc2.bias",
        "Mask_RCNN.head.convs.0.weight": "roi_heads.mask_head.mask_fcn1.weight",
        "Mask_RCNN.head.convs.3.bias": "roi_heads.mask_head.mask_fcn4.bias",
        "Mask_RCNN.predictor.deconv.weight": "roi_heads.mask_head.deconv.weight",
    }.items():
        assert torch.equal(converted[ours], state[theirs]), ours
    assert len(converted) == len(state)


def test_the_background_comes_first():
    state = small_detector(num_classes=2)
    heads = "roi_heads.box_predictor"
    state[f"{heads}.cls_score.weight"] = torch.tensor([[1.0] * 5, [2.0] * 5, [9.0] * 5])
    state[f"{heads}.cls_score.bias"] = torch.tensor([1.0, 2.0, 9.0])  # classes, background
    state[f"{heads}.bbox_pred.bias"] = torch.arange(1.0, 9.0)
    state["roi_heads.mask_head.predictor.bias"] = torch.tensor([5.0, 6.0])
    mask = state["roi_heads.mask_head.predictor.weight"]
    converted = convert(state).state
    assert converted[f"{_PREDICTOR}.cls_score.bias"].tolist() == [9, 1, 2]
    assert converted[f"{_PREDICTOR}.cls_score.weight"][:, 0].tolist() == [9, 1, 2]
    boxes = [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert converted[f"{_PREDICTOR}.bbox_pred.bias"].tolist() == boxes
    assert converted[f"{_PREDICTOR}.bbox_pred.weight"].shape == (12, 5)
    assert converted["Mask_RCNN.predictor.mask_logits.bias"].tolist() == [0, 5, 6]
    assert torch.equal(
        converted["Mask_RCNN.predictor.mask_logits.weight"],
        torch.cat((torch.zeros(1, 4, 1, 1), mask)),
    )
    assert state[f"{heads}.cls_score.bias"].tolist() == [1, 2, 9]  # the argument is left alone


@pytest.mark.parametrize(
    "key", ["roi_heads.box_predictor.bbox_pred.weight", "roi_heads.mask_head.predictor.weight"]
)
def test_outputs_that_do_not_count_the_classes(key):
    state = small_detector(num_classes=3)
    state[key] = state[key][: 8 if "bbox" in key else 1]
    with pytest.raises(ValueError, match=r"has shape \([18], .*\): 3 classes need (12|3) rows"):
        convert(state)


@pytest.mark.parametrize("num_classes", [1, 3])
def test_boxes_moved_alike_for_all_classes(num_classes):
    state = small_detector(num_classes)
    boxes = "roi_heads.box_predictor.bbox_pred"
    for parameter in ("weight", "bias"):
        state[f"{boxes}.{parameter}"] = state[f"{boxes}.{parameter}"][:4]
    converted = convert(state)
    # Four rows of a single class may be its own, and are taken for that.
    is_agnostic = num_classes > 1
    assert converted.expects["MODEL.CLS_AGNOSTIC_BBOX_REG"] is is_agnostic
    bias = converted.state[f"{_PREDICTOR}.bbox_pred.bias"].tolist()
    assert bias == [0.0] * (0 if is_agnostic else 4) + state[f"{boxes}.bias"].tolist()
    assert converted.state["Mask_RCNN.predictor.mask_logits.bias"][0] == 0


def test_buffers_are_not_needed():
    state = small_detector()
    buffers = [f"proposal_generator.anchor_generator.cell_anchors.{i}" for i in range(5)]
    state |= {key: torch.zeros(3, 4) for key in buffers}
    converted = convert(state)
    assert converted.not_needed == tuple(buffers)
    assert converted.no_place == ()


@pytest.mark.parametrize(
    ("mean", "std", "order"),
    [
        ((103.53, 116.28, 123.675), (1.0, 1.0, 1.0), "BGR"),
        ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "RGB"),
    ],
)
def test_a_file_that_keeps_mean_and_deviation_says_what_it_needs(mean, std, order):
    state = small_detector()
    state |= {
        "pixel_mean": torch.tensor(mean).reshape(3, 1, 1),
        "pixel_std": torch.tensor(std).reshape(3, 1, 1),
    }
    converted = convert(state)
    assert converted.not_needed == ("pixel_mean", "pixel_std")
    assert converted.expects["INPUT.PIXEL_MEAN"] == mean
    assert converted.expects["INPUT.PIXEL_STD"] == std
    assert converted.expects["INPUT.CHANNEL_ORDER"] == order
    # Where the trunk strides is known of Caffe2's trunks only, and they take BGR.
    assert converted.expects.get("BACKBONE.STRIDE_IN_1X1") == (True if order == "BGR" else None)


def test_norms_without_statistics_get_none():
    shapes = small_detectron2_detector()
    state = filled({key: shape for key, shape in shapes.items() if ".running_" not in key})
    converted = convert(state).state
    assert converted["Conv_Body.layer1.0.bn2.running_mean"].tolist() == [0] * 2
    assert converted["Conv_Body.layer1.0.bn2.running_var"].tolist() == [1] * 2
    assert converted["Conv_Body.bn1.running_var"].tolist() == [1] * 2
    assert converted["Conv_Body.layer4.0.downsample.1.running_mean"].tolist() == [0] * 64


def with_norms(statistics=NORM):
    """Return a detector with norms in pyramid and heads, and convolutions before fc1."""
    shapes = small_detectron2_detector()
    convs = [f"backbone.fpn_{kind}{level}" for kind in ("lateral", "output") for level in (2, 5)]
    convs += [f"roi_heads.mask_head.mask_fcn{index}" for index in range(1, 5)]
    for index in range(1, 5):
        convs.append(f"roi_heads.box_head.conv{index}")
        shapes[f"{convs[-1]}.weight"] = (4, 4, 3, 3)
    for conv in convs:
        shapes.pop(f"{conv}.bias", None)
        shapes |= {f"{conv}.norm.{part}": (4,) for part in statistics}
    for parameter in ("weight", "bias"):
        del shapes[f"proposal_generator.rpn_head.conv.{parameter}"]
    for index in range(2):
        shapes |= layer(f"proposal_generator.rpn_head.conv.conv{index}", (4, 4, 3, 3))
    return filled(shapes)


def test_norms_and_convolutions_of_the_newer_heads():
    state = with_norms((*NORM, "num_batches_tracked"))
    converted = convert(state)
    assert converted.no_place == ()
    for ours, theirs in {
        "Conv_Body_FPN.lateral_convs.0.norm.weight": "backbone.fpn_lateral2.norm.weight",
        "Conv_Body_FPN.output_convs.3.norm.running_var": "backbone.fpn_output5.norm.running_var",
        "Fast_RCNN.head.convs.0.weight": "roi_heads.box_head.conv1.weight",
        "Fast_RCNN.head.convs.3.norm.bias": "roi_heads.box_head.conv4.norm.bias",
        "Mask_RCNN.head.convs.1.norm.bias": "roi_heads.mask_head.mask_fcn2.norm.bias",
        "RPN.head.convs.1.weight": "proposal_generator.rpn_head.conv.conv1.weight",
    }.items():
        assert torch.equal(converted.state[ours], state[theirs]), ours


def test_group_norms_get_no_statistics():
    state = with_norms(("weight", "bias"))
    state = {key: value for key, value in state.items() if ".running_" not in key}
    converted = convert(state)
    assert converted.no_place == ()
    assert not [key for key in converted.state if "running" in key]
    ours, theirs = "Conv_Body_FPN.output_convs.3.norm.bias", "backbone.fpn_output5.norm.bias"
    assert torch.equal(converted.state[ours], state[theirs])
    assert converted.expects["BACKBONE.STRIDE_IN_1X1"] is False


@pytest.mark.parametrize(
    ("keys", "model"),
    [
        (["head.cls_subnet.0.weight", "head.centerness.weight"], "one-stage"),
        (["sem_seg_head.p2.0.weight"], "semantic"),
    ],
)
def test_models_that_pet_lacks_are_named(keys, model):
    state = small_detector() | {key: torch.zeros(1) for key in keys}
    converted = convert(state)
    assert converted.no_place == tuple(keys)
    assert model in describe_no_place(converted.no_place)


@pytest.mark.parametrize("version", [1, 2])
def test_deformable_convolutions(version):
    state = small_detector()
    trunk = "backbone.bottom_up."
    offset = torch.rand(9 * (version + 1), 2, 3, 3)
    state[f"{trunk}res3.0.conv2_offset.weight"] = offset
    converted = convert(state)
    assert converted.no_place == ()
    assert torch.equal(converted.state["Conv_Body.layer2.0.conv2.offset.weight"], offset)
    # Detectron2's factor of what version 2 reads is a sigmoid, Pet's is twice that.
    weight = state[f"{trunk}res3.0.conv2.weight"] / version
    assert torch.equal(converted.state["Conv_Body.layer2.0.conv2.weight"], weight)


@pytest.mark.parametrize("classifier", ["stem.fc", "fc"])
def test_trunk_converted_from_torchvision(classifier):
    state = filled(detectron2_trunk(R50, stem=2) | layer(classifier, (10, 4)))
    converted = convert(state)
    assert find_importer(state).name == "Detectron2 ResNet"
    assert converted.not_needed == (f"{classifier}.weight", f"{classifier}.bias")
    key = "Conv_Body.layer3.5.bn2.running_mean"
    assert torch.equal(converted.state[key], state["res4.5.conv2.norm.running_mean"])
    assert converted.expects["INPUT.CHANNEL_ORDER"] == "RGB"
    assert converted.expects["INPUT.PIXEL_STD"] == (58.395, 57.12, 57.375)
    assert converted.expects["BACKBONE.STRIDE_IN_1X1"] is False
    assert not any(key.startswith(("RPN", "FPN", "FAST", "MRCNN")) for key in converted.expects)


def test_trunk_without_statistics_is_one_of_caffe2():
    converted = convert(filled(detectron2_trunk(R50, norm=("weight", "bias"), stem=2)))
    assert converted.state["Conv_Body.bn1.running_var"].tolist() == [1] * 2
    assert converted.expects["INPUT.CHANNEL_ORDER"] == "BGR"
    assert converted.expects["BACKBONE.STRIDE_IN_1X1"] is True
