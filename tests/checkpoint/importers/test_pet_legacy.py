"""The original Pet: what has today's names is taken, all else is listed."""

import torch
import torchvision

from pet.checkpoint.importers import find_importer


def legacy_state():
    trunk = torchvision.models.resnet18(weights=None).state_dict()
    state = {f"module.Conv_Body.{k}": v for k, v in trunk.items() if not k.startswith("fc.")}
    names = (
        "Fast_RCNN.predictor.cls_score.weight",
        "RPN.head.conv.bias",
        "RPN.head.cls_logits.bias",
    )
    return state | {f"module.{name}": torch.rand(2) for name in names}


def test_wrapped_state_is_recognised_and_unwrapped():
    state = legacy_state()
    importer = find_importer(state)
    converted = importer.convert(state)
    assert importer.name == "original Pet"
    assert converted.state["Conv_Body.conv1.weight"] is state["module.Conv_Body.conv1.weight"]
    assert torch.equal(converted.state["RPN.head.convs.0.bias"], state["module.RPN.head.conv.bias"])
    assert len(converted.state) == len(state)
    assert (converted.not_needed, converted.no_place) == ((), ())


def test_unwrapped_state_is_taken_where_it_is_said_to_be_legacy():
    state = {key.removeprefix("module."): value for key, value in legacy_state().items()}
    assert find_importer(state).name == "Pet"
    assert find_importer(state, "pet-legacy").name == "original Pet"


def test_names_that_are_not_known_have_no_place():
    unknown = ("module.Fast_RCNN.Box_Head.fc6.weight", "module.Conv_Body.fc.weight", "module.EMA")
    state = legacy_state() | {key: torch.zeros(1) for key in unknown}
    assert find_importer(state).convert(state).no_place == unknown
