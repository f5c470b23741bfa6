"""Detectron2's RetinaNets under Pet's names."""

import pickle

import numpy as np
import pytest
import torch

from pet.config import default_cfg, merge_cfg_from_file
from pet.modeling.build import build_model
from pet.weights.config_requirements import contradictions
from pet.weights.formats import find_importer
from pet.weights.import_weights import count_classes, import_weights
from pet.weights.load import compare
from tests.source_code import ROOT
from tests.weights.foreign_states import (
    R50,
    R101,
    Shapes,
    detectron2_trunk,
    filled,
    layer,
    light,
)


def retinanet(depths=R50, num_classes: int = 80, dim: int = 256, stem: int = 64) -> Shapes:
    """Return the keys of a RetinaNet; ``num_classes`` without background."""
    shapes = detectron2_trunk(depths, prefix="backbone.bottom_up.", stem=stem)
    for level in range(3, 6):
        shapes |= layer(f"backbone.fpn_lateral{level}", (dim, stem * 2**level, 1, 1))
        shapes |= layer(f"backbone.fpn_output{level}", (dim, dim, 3, 3))
    shapes |= layer("backbone.top_block.p6", (dim, stem * 32, 3, 3))
    shapes |= layer("backbone.top_block.p7", (dim, dim, 3, 3))
    for index in range(0, 8, 2):
        shapes |= layer(f"head.cls_subnet.{index}", (dim, dim, 3, 3))
        shapes |= layer(f"head.bbox_subnet.{index}", (dim, dim, 3, 3))
    shapes |= layer("head.cls_score", (9 * num_classes, dim, 3, 3))
    return shapes | layer("head.bbox_pred", (36, dim, 3, 3))


def convert(state):
    importer = find_importer(state)
    assert importer.name == "Detectron2 RetinaNet"
    return importer.convert(state)


@pytest.mark.parametrize(
    ("name", "depths"),
    [
        ("retinanet_R_50_FPN_1x", R50),
        ("retinanet_R_50_FPN_3x", R50),
        ("retinanet_R_101_FPN_3x", R101),
    ],
)
def test_each_model_of_the_zoo_is_the_model_of_its_config(name, depths):
    cfg = default_cfg()
    merge_cfg_from_file(ROOT / f"cfgs/rcnn/detectron2/{name}.yaml", cfg)
    model_state = build_model("meta", cfg).state_dict()
    buffers = {f"anchor_generator.cell_anchors.{n}": torch.zeros(9, 4) for n in range(5)}
    converted = convert(light(retinanet(depths)) | buffers)
    report = compare(model_state, converted.state, name)
    assert (report.missing, report.skipped, report.mismatched) == ((), (), ())
    assert (converted.not_needed, converted.no_place) == (tuple(buffers), ())
    assert contradictions(converted.expects, cfg, report.loaded) == []


def test_names_and_order_by_hand():
    state = filled(retinanet((1, 1, 1, 1), num_classes=2, dim=4, stem=2))
    converted = convert(state)
    for ours, theirs in {
        "Conv_Body.layer1.0.conv1.weight": "backbone.bottom_up.res2.0.conv1.weight",
        "Conv_Body_FPN.lateral_convs.0.weight": "backbone.fpn_lateral3.weight",
        "Conv_Body_FPN.output_convs.2.bias": "backbone.fpn_output5.bias",
        "Conv_Body_FPN.p6.weight": "backbone.top_block.p6.weight",
        "Conv_Body_FPN.p7.bias": "backbone.top_block.p7.bias",
        "RetinaNet.head.cls_convs.0.weight": "head.cls_subnet.0.weight",
        "RetinaNet.head.cls_convs.3.bias": "head.cls_subnet.6.bias",
        "RetinaNet.head.bbox_convs.1.weight": "head.bbox_subnet.2.weight",
        # K outputs of each anchor, no background, and the anchors in the same order.
        "RetinaNet.head.cls_logits.weight": "head.cls_score.weight",
        "RetinaNet.head.bbox_pred.bias": "head.bbox_pred.bias",
    }.items():
        assert converted.state[ours] is state[theirs], ours
    assert len(converted.state) == len(state)
    assert count_classes(converted.state) == 3


def test_norms_without_statistics_get_none():
    shapes = retinanet((1, 1, 1, 1), num_classes=2, dim=4, stem=2)
    state = filled({key: shape for key, shape in shapes.items() if ".running_" not in key})
    assert convert(state).state["Conv_Body.bn1.running_var"].tolist() == [1] * 2


@pytest.mark.parametrize(("classes", "name"), [(80, "person"), (79, None)])
def test_a_file_knows_its_classes_and_its_input(tmp_path, classes, name):
    state = filled(retinanet((1, 1, 1, 1), num_classes=classes, dim=4, stem=2))
    arrays = {key: value.numpy() for key, value in state.items()}
    arrays["pixel_mean"] = np.array((123.675, 116.28, 103.53), np.float32).reshape(3, 1, 1)
    arrays["pixel_std"] = np.array((58.395, 57.12, 57.375), np.float32).reshape(3, 1, 1)
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2"}))
    weights = import_weights(tmp_path / "w.pkl")
    assert weights.class_names[:1] == ((name,) if name else ())
    assert weights.expects["INPUT.CHANNEL_ORDER"] == "RGB"
    assert "BACKBONE.STRIDE_IN_1X1" not in weights.expects
    assert weights.expects["RETINANET.CLIP_BEFORE_NMS"] is False
    assert weights.expects["RETINANET.DROP_EMPTY"] is True


def test_norms_in_the_towers_have_no_place():
    state = filled(retinanet((1, 1, 1, 1), num_classes=2, dim=4, stem=2))
    state["head.cls_subnet.1.weight"] = torch.zeros(4)
    assert convert(state).no_place == ("head.cls_subnet.1.weight",)
