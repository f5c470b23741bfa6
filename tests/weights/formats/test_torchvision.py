"""torchvision's own models under Pet's names, and where its files are to be had."""

import pytest
import torch
import torchvision
from torchvision.models import detection

from pet.config import default_cfg, merge_cfg_from_file
from pet.modeling import registry
from pet.modeling.build import build_model
from pet.weights.config_requirements import contradictions
from pet.weights.formats import download_url, find_importer
from pet.weights.formats.base import describe_no_place
from pet.weights.load import compare, in_model_places
from tests.source_code import ROOT

_COUNTER = "num_batches_tracked"


def detector(name):
    """Return the state dict of a torchvision detector, without memory."""
    with torch.device("meta"):
        return getattr(detection, name)(weights=None, weights_backbone=None).state_dict()


def published(name):
    """Return the same as it was published: fixed norms, which the first forms have, do not count.

    torchvision builds plain batch norms into a model without weights.
    """
    state = detector(name)
    if name.endswith("_v2"):
        return state
    return {key: value for key, value in state.items() if not key.endswith(_COUNTER)}


def convert(state):
    importer = find_importer(state)
    assert importer.name == "torchvision detector"
    return importer.convert(state)


@pytest.mark.parametrize(
    "name",
    [
        "fasterrcnn_resnet50_fpn",
        "fasterrcnn_resnet50_fpn_v2",
        "maskrcnn_resnet50_fpn",
        "maskrcnn_resnet50_fpn_v2",
        "keypointrcnn_resnet50_fpn",
    ],
)
def test_each_detector_is_the_model_of_its_config(name):
    cfg = default_cfg()
    merge_cfg_from_file(ROOT / f"cfgs/rcnn/torchvision/{name}.yaml", cfg)
    with torch.device("meta"):
        model_state = build_model("meta", cfg).state_dict()
    state = published(name)
    converted = convert(state)
    report = compare(model_state, converted.state, name)
    assert (report.missing, report.skipped, report.mismatched) == ((), (), ())
    assert (converted.not_needed, converted.no_place) == ((), ())
    assert len(report.loaded) == len(state)
    assert contradictions(converted.expects, cfg, report.loaded) == []


@pytest.mark.parametrize(
    ("name", "pairs"),
    [
        (
            "maskrcnn_resnet50_fpn",
            {
                "Conv_Body.layer4.2.bn3.running_var": "backbone.body.layer4.2.bn3.running_var",
                "Conv_Body_FPN.lateral_convs.0.bias": "backbone.fpn.inner_blocks.0.0.bias",
                "Conv_Body_FPN.output_convs.3.weight": "backbone.fpn.layer_blocks.3.0.weight",
                "RPN.head.convs.0.weight": "rpn.head.conv.0.0.weight",
                "RPN.head.cls_logits.bias": "rpn.head.cls_logits.bias",
                "Fast_RCNN.head.fc1.weight": "roi_heads.box_head.fc6.weight",
                "Fast_RCNN.head.fc2.weight": "roi_heads.box_head.fc7.weight",
                "Fast_RCNN.predictor.bbox_pred.bias": "roi_heads.box_predictor.bbox_pred.bias",
                "Mask_RCNN.head.convs.2.bias": "roi_heads.mask_head.2.0.bias",
                "Mask_RCNN.predictor.deconv.bias": "roi_heads.mask_predictor.conv5_mask.bias",
                "Mask_RCNN.predictor.mask_logits.bias": (
                    "roi_heads.mask_predictor.mask_fcn_logits.bias"
                ),
            },
        ),
        (
            "keypointrcnn_resnet50_fpn",
            {
                "Keypoint_RCNN.head.convs.0.weight": "roi_heads.keypoint_head.0.weight",
                "Keypoint_RCNN.head.convs.7.bias": "roi_heads.keypoint_head.14.bias",
                "Keypoint_RCNN.predictor.deconv.weight": (
                    "roi_heads.keypoint_predictor.kps_score_lowres.weight"
                ),
            },
        ),
        (
            "maskrcnn_resnet50_fpn_v2",
            {
                "Conv_Body_FPN.lateral_convs.1.weight": "backbone.fpn.inner_blocks.1.0.weight",
                "Conv_Body_FPN.lateral_convs.1.norm.bias": "backbone.fpn.inner_blocks.1.1.bias",
                "RPN.head.convs.1.bias": "rpn.head.conv.1.0.bias",
                "Fast_RCNN.head.convs.3.weight": "roi_heads.box_head.3.0.weight",
                "Fast_RCNN.head.convs.3.norm.weight": "roi_heads.box_head.3.1.weight",
                "Fast_RCNN.head.fc1.bias": "roi_heads.box_head.5.bias",
                "Mask_RCNN.head.convs.0.norm.running_mean": (
                    "roi_heads.mask_head.0.1.running_mean"
                ),
            },
        ),
    ],
)
def test_names_by_hand(name, pairs):
    state = detector(name)
    converted = convert(state).state
    for ours, theirs in pairs.items():
        assert converted[ours] is state[theirs]


def test_older_names():
    new = detector("maskrcnn_resnet50_fpn")
    old = {}
    for key, value in new.items():
        key = key.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        for index in range(4):
            for blocks in ("inner_blocks", "layer_blocks"):
                key = key.replace(f"fpn.{blocks}.{index}.0.", f"fpn.{blocks}.{index}.")
            key = key.replace(f"mask_head.{index}.0.", f"mask_head.mask_fcn{index + 1}.")
        old[key] = value
    assert len(old.keys() - new.keys()) == 2 * (8 + 1 + 4)
    assert convert(old).state == convert(new).state  # the very same tensors


def test_old_and_new_names_together_contradict():
    state = detector("fasterrcnn_resnet50_fpn")
    state["rpn.head.conv.weight"] = state["rpn.head.conv.0.0.weight"]
    with pytest.raises(ValueError, match=r"conv\.0\.0\.weight and rpn\.head\.conv\.weight both"):
        convert(state)


@pytest.mark.parametrize(
    ("state", "eps"),
    [
        (published("fasterrcnn_resnet50_fpn"), 0.0),
        (detector("fasterrcnn_resnet50_fpn"), 1e-5),  # trained with norms that count
        (published("fasterrcnn_resnet50_fpn_v2"), 1e-5),
    ],
)
def test_what_is_added_to_the_variance(state, eps):
    assert convert(state).expects["MODEL.BATCH_NORM_EPS"] == eps


def test_only_91_outputs_are_category_ids():
    state = detector("fasterrcnn_resnet50_fpn")
    assert convert(state).expects["MODEL.CLASS_LABELS"] == "category_id"
    state["roi_heads.box_predictor.cls_score.bias"] = torch.zeros(21)
    assert "MODEL.CLASS_LABELS" not in convert(state).expects


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("fcos_resnet50_fpn", "one-stage"),
    ],
)
def test_detectors_that_pet_lacks_are_named(name, model):
    state = detector(name)
    converted = convert(state)
    assert converted.no_place
    assert model in describe_no_place(converted.no_place)
    assert len(converted.state) + len(converted.no_place) == len(state)


def test_resnext_is_a_trunk_of_ours(fresh_cfg):
    with torch.device("meta"):
        state = torchvision.models.resnext101_32x8d(weights=None).state_dict()
        trunk = registry.BACKBONES["resnext101_32x8d"](fresh_cfg)
    importer = find_importer(state)
    converted = importer.convert(state)
    model_state = {f"Conv_Body.{key}": value for key, value in trunk.state_dict().items()}
    report = compare(model_state, converted.state, "resnext")
    assert importer.name == "torchvision ResNet"
    assert (report.missing, report.skipped, report.mismatched) == ((), (), ())
    assert converted.not_needed == ("fc.weight", "fc.bias")
    assert contradictions(converted.expects, fresh_cfg, report.loaded) == []


def test_a_classifier_of_several_layers_is_not_needed():
    with torch.device("meta"):
        state = torchvision.models.resnet18(weights=None).state_dict()
    del state["fc.weight"], state["fc.bias"]
    head = {"fc.0.weight": torch.zeros(1), "fc.2.weight": torch.zeros(1)}
    importer = find_importer(state | head)
    assert importer.name == "torchvision ResNet"
    assert importer.convert(state | head).not_needed == tuple(head)


def test_a_resnet_with_something_more_fits_no_resnet_of_ours(fresh_cfg):
    with torch.device("meta"):
        state = torchvision.models.resnet18(weights=None).state_dict()
        trunk = registry.BACKBONES["resnet18_1x64d"](fresh_cfg)
    state |= {"layer1.0.se.fc1.weight": torch.zeros(1)}
    converted = find_importer(state).convert(state)
    model_state = {f"Conv_Body.{key}": value for key, value in trunk.state_dict().items()}
    report = compare(model_state, in_model_places(converted.state, model_state), "se")
    assert (report.loaded, report.mismatched) == ((), ())


@pytest.mark.parametrize(
    "name",
    [
        "resnet18-f37072fd.pth",
        "resnet34-b627a593.pth",
        "resnet50-0676ba61.pth",
        "resnet101-63fe2227.pth",
        "resnet152-394f9c45.pth",
        "resnext101_32x8d-8ba56ff5.pth",
        "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
        "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
        "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth",
        "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
        "keypointrcnn_resnet50_fpn_coco-9f466800.pth",
        "keypointrcnn_resnet50_fpn_coco-fc266e95.pth",
        "retinanet_resnet50_fpn_coco-eeacb38b.pth",
        "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth",
    ],
)
def test_download_urls(name):
    assert download_url(name) == f"https://download.pytorch.org/models/{name}"


def test_no_url_for_other_names():
    assert download_url("model_latest.pth") is None
