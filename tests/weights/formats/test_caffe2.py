"""Caffe2's ImageNet blobs: names, statistics, and what each trunk needs."""

import pytest
import torch

from pet.modeling import registry
from pet.weights.formats import download_url, find_importer
from pet.weights.load import compare
from tests.weights.foreign_states import R50, R101, caffe2_trunk, filled, light


def convert(state):
    importer = find_importer(state)
    assert importer.name == "Caffe2 ResNet"
    return importer.convert(state)


@pytest.mark.parametrize(
    ("body", "depths", "groups"),
    [
        ("resnet50_1x64d", R50, 1),
        ("resnet101_1x64d", R101, 1),
        ("resnext101_32x8d", R101, 32),
    ],
)
def test_each_trunk_is_the_trunk_of_its_config(fresh_cfg, body, depths, groups):
    with torch.device("meta"):
        trunk = registry.BACKBONES[body](fresh_cfg)
    model_state = {f"Conv_Body.{key}": value for key, value in trunk.state_dict().items()}
    converted = convert(light(caffe2_trunk(depths, groups)))
    report = compare(model_state, converted.state, body)
    assert (report.missing, report.skipped, report.mismatched) == ((), (), ())
    assert converted.not_needed == ("fc1000_w", "fc1000_b")
    assert converted.no_place == ()


def test_names_by_hand():
    state = filled(caffe2_trunk(stem=2))
    converted = convert(state).state
    for ours, theirs in {
        "conv1.weight": "conv1_w",
        "bn1.weight": "res_conv1_bn_s",
        "bn1.bias": "res_conv1_bn_b",
        "layer1.0.downsample.0.weight": "res2_0_branch1_w",
        "layer1.0.downsample.1.weight": "res2_0_branch1_bn_s",
        "layer1.0.conv1.weight": "res2_0_branch2a_w",
        "layer1.0.bn1.weight": "res2_0_branch2a_bn_s",
        "layer3.5.bn2.bias": "res4_5_branch2b_bn_b",
        "layer4.2.conv3.weight": "res5_2_branch2c_w",
    }.items():
        assert torch.equal(converted[f"Conv_Body.{ours}"], state[theirs]), ours
    assert converted["Conv_Body.layer4.2.bn3.running_mean"].tolist() == [0] * 64
    assert converted["Conv_Body.layer4.2.bn3.running_var"].tolist() == [1] * 64


def test_statistics_that_are_there_are_kept():
    state = filled(caffe2_trunk((1, 1, 1, 1), norm=("s", "b", "rm", "riv"), stem=2))
    converted = convert(state).state
    for ours, theirs in {
        "bn1.running_mean": "res_conv1_bn_rm",
        "bn1.running_var": "res_conv1_bn_riv",
        "layer2.0.bn3.running_var": "res3_0_branch2c_bn_riv",
        "layer2.0.downsample.1.running_mean": "res3_0_branch1_bn_rm",
    }.items():
        assert torch.equal(converted[f"Conv_Body.{ours}"], state[theirs]), ours
    assert len(converted) == len(state) - 2  # the classifier


def test_what_training_left_is_not_needed():
    state = filled(caffe2_trunk((1, 1, 1, 1), stem=2))
    left = {
        "conv1_w_momentum": torch.zeros(1),
        "lr": torch.zeros(1),
        "conv1_b": torch.zeros(64),
        "pred_w": torch.ones(2),
    }
    converted = convert(state | left)
    assert set(converted.not_needed) == {"fc1000_w", "fc1000_b", *left}


def test_other_blobs_have_no_place():
    state = filled(caffe2_trunk((1, 1, 1, 1), stem=2))
    state |= {"fpn_inner_res2_2_sum_w": torch.zeros(1)}
    assert convert(state).no_place == ("fpn_inner_res2_2_sum_w",)


def test_group_norm_has_no_statistics(fresh_cfg):
    state = light(caffe2_trunk(R50))
    state = {key.replace("res_conv1", "conv1").replace("bn", "gn"): v for key, v in state.items()}
    converted = convert(state)
    fresh_cfg.MODEL.BATCH_NORM = "gn"
    with torch.device("meta"):
        trunk = registry.BACKBONES["resnet50_1x64d"](fresh_cfg)
    assert set(converted.state) == {f"Conv_Body.{key}" for key in trunk.state_dict()}
    assert converted.no_place == ()
    assert converted.expects["MODEL.BATCH_NORM"] == "gn"
    assert converted.expects["BACKBONE.STRIDE_IN_1X1"] is False


@pytest.mark.parametrize(
    ("groups", "std", "stride_in_1x1"),
    [(1, (1.0, 1.0, 1.0), True), (32, (57.375, 57.12, 58.395), False)],
)
def test_what_the_trunks_need(groups, std, stride_in_1x1):
    assert convert(light(caffe2_trunk(R101, groups))).expects == {
        "INPUT.CHANNEL_ORDER": "BGR",
        "INPUT.PIXEL_MEAN": (103.53, 116.28, 123.675),
        "INPUT.PIXEL_STD": std,
        "MODEL.BATCH_NORM_EPS": 1e-5,
        "BACKBONE.STRIDE_IN_1X1": stride_in_1x1,
    }


@pytest.mark.parametrize(
    "place", ["MSRA/R-50.pkl", "MSRA/R-101.pkl", "FAIR/X-101-32x8d.pkl", "FAIR/R-50-GN.pkl"]
)
def test_download_urls(place):
    url = f"https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/{place}"
    assert download_url(place.split("/")[1]) == url
