"""torchvision's RetinaNets under Pet's names, with their outputs in Pet's order."""

import pytest
import torch
from torchvision.models import detection

from pet.config import default_cfg, merge_cfg_from_file
from pet.modeling.build import build_model
from pet.modeling.rcnn.retinanet import build_retinanet
from pet.weights.config_requirements import contradictions
from pet.weights.formats import find_importer
from pet.weights.import_weights import count_classes
from pet.weights.load import compare
from tests.source_code import ROOT

_COUNTER = "num_batches_tracked"
_CLASSES, _BOXES = "RetinaNet.head.cls_logits", "RetinaNet.head.bbox_pred"
_CLS, _BBOX = "head.classification_head", "head.regression_head"


def detector(name, **kwargs):
    """Return the state dict of a torchvision detector, without memory."""
    with torch.device("meta"):
        return getattr(detection, name)(weights=None, weights_backbone=None, **kwargs).state_dict()


def convert(state):
    importer = find_importer(state)
    assert importer.name == "torchvision RetinaNet"
    return importer.convert(state)


@pytest.mark.parametrize("name", ["retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2"])
def test_each_is_the_model_of_its_config(name):
    cfg = default_cfg()
    merge_cfg_from_file(ROOT / f"cfgs/rcnn/torchvision/{name}.yaml", cfg)
    model_state = build_model("meta", cfg).state_dict()
    state = detector(name)
    if not name.endswith("_v2"):  # published with fixed norms
        state = {key: value for key, value in state.items() if not key.endswith(_COUNTER)}
    converted = convert(state)
    report = compare(model_state, converted.state, name)
    assert (report.missing, report.skipped, report.mismatched) == ((), (), ())
    assert (converted.not_needed, converted.no_place) == ((), ())
    assert len(report.loaded) == len(state)
    assert contradictions(converted.expects, cfg, report.loaded) == []


def test_names_by_hand():
    state = detector("retinanet_resnet50_fpn_v2")
    converted = convert(state).state
    for ours, theirs in {
        "Conv_Body.layer4.2.bn3.running_var": "backbone.body.layer4.2.bn3.running_var",
        "Conv_Body_FPN.lateral_convs.0.bias": "backbone.fpn.inner_blocks.0.0.bias",
        "Conv_Body_FPN.output_convs.2.weight": "backbone.fpn.layer_blocks.2.0.weight",
        "Conv_Body_FPN.p6.weight": "backbone.fpn.extra_blocks.p6.weight",
        "Conv_Body_FPN.p7.bias": "backbone.fpn.extra_blocks.p7.bias",
        "RetinaNet.head.cls_convs.0.weight": f"{_CLS}.conv.0.0.weight",
        "RetinaNet.head.cls_convs.3.norm.bias": f"{_CLS}.conv.3.1.bias",
        "RetinaNet.head.bbox_convs.2.norm.weight": f"{_BBOX}.conv.2.1.weight",
    }.items():
        assert converted[ours] is state[theirs]


def test_the_outputs_change_places_and_the_background_stays():
    state = detector("retinanet_resnet50_fpn", num_classes=3)
    # Anchor a, ratios outside, and its output k: a number that says both.
    anchor = torch.arange(9.0)
    state[f"{_CLS}.cls_logits.bias"] = (10 * anchor[:, None] + torch.arange(3.0)).flatten()
    weight = state[f"{_CLS}.cls_logits.bias"][:, None, None, None].expand(-1, 256, 3, 3)
    state[f"{_CLS}.cls_logits.weight"] = weight
    state[f"{_BBOX}.bbox_reg.bias"] = (10 * anchor[:, None] + torch.arange(4.0)).flatten()
    state[f"{_BBOX}.bbox_reg.weight"] = torch.zeros(36, 256, 3, 3)
    converted = convert(state).state
    # At sizes s and ratios r torchvision has 3 * r + s, and Pet 3 * s + r.
    order = [0, 3, 6, 1, 4, 7, 2, 5, 8]
    classes = [10 * a + k for a in order for k in (0, 1, 2)]
    assert converted[f"{_CLASSES}.bias"].tolist() == classes
    assert converted[f"{_CLASSES}.weight"][:, 7, 1, 2].tolist() == classes
    boxes = [10 * a + k for a in order for k in range(4)]
    assert converted[f"{_BOXES}.bias"].tolist() == boxes
    assert count_classes(converted, background_output=True) == 3


def test_the_order_is_that_of_the_anchors():
    model = detection.retinanet_resnet50_fpn(weights=None, weights_backbone=None)
    cfg = default_cfg()
    merge_cfg_from_file(ROOT / "cfgs/rcnn/torchvision/retinanet_resnet50_fpn.yaml", cfg)
    ours = build_retinanet(8, [1 / 2**level for level in range(3, 8)], 3, cfg).anchors
    for mine, theirs in zip(ours.cells, model.anchor_generator.cell_anchors, strict=True):
        assert torch.equal(mine, theirs.unflatten(0, (3, 3)).transpose(0, 1).flatten(0, 1))


def test_names_of_the_first_published_file():
    new = detector("retinanet_resnet50_fpn")
    old = {}
    for key, value in new.items():
        for index in range(4):
            key = key.replace(f"_head.conv.{index}.0.", f"_head.conv.{2 * index}.")
            for blocks in ("inner_blocks", "layer_blocks"):
                key = key.replace(f"fpn.{blocks}.{index}.0.", f"fpn.{blocks}.{index}.")
        old[key] = value
    assert len(old.keys() - new.keys()) == 2 * (8 + 6)
    converted = convert(old)
    assert converted.no_place == ()
    wanted = convert(new).state
    changed = {f"{layer}.{p}" for layer in (_CLASSES, _BOXES) for p in ("weight", "bias")}
    assert converted.state.keys() == wanted.keys()
    assert all(converted.state[key] is wanted[key] for key in wanted.keys() - changed)


@pytest.mark.parametrize(
    ("name", "has_counters", "eps", "p6_from"),
    [
        ("retinanet_resnet50_fpn", False, 0.0, "P5"),
        ("retinanet_resnet50_fpn", True, 1e-5, "P5"),  # trained with norms that count
        ("retinanet_resnet50_fpn_v2", True, 1e-5, "res5"),
    ],
)
def test_what_the_forms_need(name, has_counters, eps, p6_from):
    state = detector(name)
    if not has_counters:
        state = {key: value for key, value in state.items() if not key.endswith(_COUNTER)}
    expects = convert(state).expects
    assert expects["MODEL.BATCH_NORM_EPS"] == eps
    assert expects["FPN.P6_FROM"] == p6_from
    assert expects["RETINANET.ANCHOR_SIZE_CUT"] is True
    assert not any(key.startswith(("RPN.", "FAST_RCNN.", "FPN.ROI")) for key in expects)


def test_only_91_outputs_are_category_ids():
    name = "retinanet_resnet50_fpn"
    assert convert(detector(name)).expects["MODEL.CLASS_LABELS"] == "category_id"
    assert "MODEL.CLASS_LABELS" not in convert(detector(name, num_classes=21)).expects


@pytest.mark.parametrize("outputs", [12, 72])  # of 3 anchors, and of 18
def test_other_anchors_than_nine_are_refused(outputs):
    state = detector("retinanet_resnet50_fpn")
    state[f"{_BBOX}.bbox_reg.weight"] = torch.zeros(outputs, 256, 3, 3)
    with pytest.raises(ValueError, match=rf"{outputs} outputs \(.*\) are not those of 9 anchors"):
        convert(state)


def test_a_predictor_that_is_missing_is_named():
    state = detector("retinanet_resnet50_fpn")
    del state[f"{_CLS}.cls_logits.weight"]
    with pytest.raises(ValueError, match=r"no weights for RetinaNet\.head\.cls_logits\.weight"):
        convert(state)


def test_what_has_no_place_is_told():
    state = detector("retinanet_resnet50_fpn") | {"head.mask_head.weight": torch.zeros(1)}
    assert convert(state).no_place == ("head.mask_head.weight",)
    assert find_importer(detector("fcos_resnet50_fpn")).name == "torchvision detector"
