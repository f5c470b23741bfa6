"""The original Pet: known by names that only it has; what has today's names is taken."""

import pytest
import torch
import torchvision

from pet.weights.formats import find_importer

ITS_OWN = (
    "RPN.head.conv.weight",
    "RPN.head.conv.bias",
    "Fast_RCNN.Head.fc6.weight",
    "Fast_RCNN.Output.cls_score.weight",
    "Mask_RCNN.Head.conv_fcn.0.0.weight",
    "Cascade_RCNN.Output.cls_score.weight",
)


def state_of_both():
    """Return weights by names that the original Pet and today's have."""
    trunk = torchvision.models.resnet18(weights=None).state_dict()
    state = {f"Conv_Body.{k}": v for k, v in trunk.items() if not k.startswith("fc.")}
    names = ("Fast_RCNN.predictor.cls_score.weight", "RPN.head.cls_logits.bias")
    return state | {name: torch.rand(2) for name in names}


def legacy_state():
    return state_of_both() | {"RPN.head.conv.bias": torch.rand(2)}


def test_it_is_recognised_and_gets_todays_names():
    state = legacy_state()
    importer = find_importer(state)
    converted = importer.convert(state)
    assert importer.name == "original Pet"
    assert converted.state["Conv_Body.conv1.weight"] is state["Conv_Body.conv1.weight"]
    assert torch.equal(converted.state["RPN.head.convs.0.bias"], state["RPN.head.conv.bias"])
    assert len(converted.state) == len(state)
    assert (converted.not_needed, converted.no_place) == ((), ())
    assert converted.expects["INPUT.CHANNEL_ORDER"] == "BGR"


@pytest.mark.parametrize("name", ITS_OWN)
def test_names_that_only_it_has(name):
    assert find_importer(state_of_both() | {name: torch.zeros(1)}).name == "original Pet"


@pytest.mark.parametrize(
    "name",
    [
        "RPN.head.convs.0.weight",
        "Fast_RCNN.head.conv.weight",
        "Conv_Body.Head.weight",
        "Conv_Body_FPN.p5_in.weight",
        "MyRPN.head.conv.weight",
    ],
)
def test_names_that_parts_of_a_users_own_may_have(name):
    importer = find_importer(state_of_both() | {name: torch.zeros(1)})
    assert importer.name == "Pet"
    assert importer.convert(state_of_both()).expects == {}


def test_the_rest_is_taken_where_it_is_said_to_be_legacy():
    assert find_importer(state_of_both()).name == "Pet"
    assert find_importer(state_of_both(), "pet-legacy").name == "original Pet"


def test_names_that_are_not_known_have_no_place():
    unknown = ("Fast_RCNN.Head.fc6.weight", "Conv_Body.fc.weight", "EMA")
    state = legacy_state() | {key: torch.zeros(1) for key in unknown}
    assert find_importer(state).convert(state).no_place == unknown
