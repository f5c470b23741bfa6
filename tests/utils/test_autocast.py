import torch
from torch import nn

from pet.utils.autocast import autocast

CPU = torch.device("cpu")


def test_products_are_in_bfloat16_and_weights_stay():
    layer, x = nn.Linear(4, 4), torch.ones(1, 4)
    with autocast(CPU, "bfloat16"):
        assert layer(x).dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32


def test_full_precision_changes_nothing():
    layer, x = nn.Linear(4, 4), torch.ones(1, 4)
    with autocast(CPU, "float32"):
        assert torch.equal(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))
