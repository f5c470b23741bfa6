"""A network that was prepared for inference computes what it did before."""

import copy

import pytest
import torch
from torch import nn

from pet.layers.conv import ConvNorm
from pet.layers.fold import prepare_for_inference
from pet.layers.norm import FrozenBatchNorm2d
from pet.modeling.backbones.resnet_blocks import BasicBlock, BlockStyle, Bottleneck
from tests.layers.random_norm import randomise_norms


def randomised(model: nn.Module) -> nn.Module:
    """Return ``model``, in eval mode, with other norms."""
    torch.manual_seed(0)
    randomise_norms(model)
    return model.eval()


@pytest.mark.parametrize("norm", ["freeze", "bn", "gn"])
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_blocks_give_the_same_bits(block, norm):
    model = randomised(block(32, 32, 2, BlockStyle(norm)))
    x = torch.rand(2, 32, 8, 8)
    wanted = model(x)
    prepare_for_inference(model)
    assert torch.equal(model(x), wanted)
    left = {type(m) for m in model.modules()} & {FrozenBatchNorm2d, nn.BatchNorm2d, nn.GroupNorm}
    assert left == ({nn.GroupNorm} if norm == "gn" else set())


def test_deformable_convolutions_too():
    model = randomised(Bottleneck(64, 32, 1, BlockStyle(dcn_version=2)))
    nn.init.normal_(model.conv2.offset.weight, std=0.1)
    x = torch.rand(1, 64, 8, 8)
    wanted = model(x)
    prepare_for_inference(model)
    assert torch.equal(model(x), wanted)


@pytest.mark.parametrize("norm", ["none", "bn", "gn"])
def test_a_convolution_with_its_norm_inside(norm):
    model = randomised(ConvNorm(32, 32, 3, norm))
    x = torch.rand(1, 32, 5, 5)
    wanted = model(x)
    prepare_for_inference(model)
    assert torch.equal(model(x), wanted)


def test_weights_are_converted_once_and_autocast_gives_the_same_bits():
    model = randomised(
        nn.Sequential(Bottleneck(128, 32, 1, BlockStyle(dcn_version=1)), ConvNorm(128, 8, 3))
    )
    x = torch.rand(1, 128, 8, 8)
    folded = copy.deepcopy(model)
    prepare_for_inference(folded)
    with torch.autocast("cpu", torch.bfloat16):
        wanted = folded(x)
        prepare_for_inference(model, "bfloat16")
        assert torch.equal(model(x), wanted)
    types = {name: p.dtype for name, p in model.named_parameters()}
    assert types["1.weight"] == types["0.conv1.weight"] == types["1.bias"] == torch.bfloat16
    # torchvision's operator works in float32, so its weight must not lose digits.
    assert types["0.conv2.weight"] == torch.float32


def test_a_weight_that_is_computed_with_keeps_its_digits():
    class Standardised(nn.Conv2d):
        def forward(self, x):
            mean = self.weight.mean(dim=(1, 2, 3), keepdim=True)
            return self._conv_forward(x, self.weight - mean, self.bias)

    torch.manual_seed(0)
    model = Standardised(8, 8, 3).eval()
    nn.init.normal_(model.weight, mean=1.0, std=0.001)  # rounded, they would be one number
    x = torch.rand(1, 8, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        wanted = model(x)
        prepare_for_inference(model, "bfloat16")
        assert torch.equal(model(x), wanted)


def test_modules_that_declare_nothing_are_left_alone():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.bn1(self.conv1(x).relu())

    model = randomised(Own())
    x = torch.rand(1, 3, 4, 4)
    wanted = model(x)
    prepare_for_inference(model)
    assert torch.equal(model(x), wanted) and isinstance(model.bn1, nn.BatchNorm2d)


def test_a_model_in_training_is_refused():
    with pytest.raises(AssertionError):
        prepare_for_inference(ConvNorm(4, 4, 3, "bn").train())
