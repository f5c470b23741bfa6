import pytest
import torch

from pet.config import UnknownNameError
from pet.modeling.build import build_model
from pet.modeling.rcnn.generalized_rcnn import Generalized_RCNN
from tests.modeling.rcnn.small import small_cfg


def test_the_model_is_on_its_device_and_channels_last():
    model = build_model("cpu", small_cfg())
    assert isinstance(model, Generalized_RCNN)
    weight = model.Conv_Body.layer2[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert {p.device.type for p in build_model("meta", small_cfg()).parameters()} == {"meta"}


def test_an_unknown_model_names_the_nearest():
    node = small_cfg()
    node.MODEL.TYPE = "generalised_rcnn"
    with pytest.raises(UnknownNameError, match=r"\(MODEL.TYPE\).*did you mean 'generalized_rcnn'"):
        build_model("cpu", node)
