"""Pet's own state dicts: known by the trunk's name, unless it stands there by accident."""

import torch

from pet.weights.formats import find_importer
from tests.weights.small_model import SmallModel
from tests.weights.small_torchvision import small_mask_rcnn


def test_a_model_of_pet_with_parts_of_a_users_own():
    state = SmallModel().state_dict() | {"Mine.layer.weight": torch.zeros(1)}
    importer = find_importer(state)
    assert importer.name == "Pet"
    converted = importer.convert(state)
    assert converted.state.keys() == state.keys()
    assert (converted.not_needed, converted.no_place, converted.expects) == ((), (), {})


def test_one_name_of_pet_among_those_of_another_format():
    state = small_mask_rcnn() | {"Conv_Body.x": torch.zeros(1)}
    importer = find_importer(state)
    assert importer.name == "torchvision detector"
    assert importer.convert(state).no_place == ("Conv_Body.x",)


def test_a_name_that_only_looks_like_the_trunks():
    for name in ("Conv_Body", "Conv_Body_FPN.x", "my.Conv_Body.x"):
        assert find_importer({name: torch.zeros(1)}) is None
