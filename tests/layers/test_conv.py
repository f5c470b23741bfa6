import pytest
import torch
from torch import Tensor, nn

from pet.layers.conv import ConvNorm, conv_norm, init_conv
from pet.layers.norm import FrozenBatchNorm2d
from tests.layers.random_norm import randomise_norms

CONVS = {
    "1x1": {"kernel_size": 1},
    "7x7 stride 2": {"kernel_size": 7, "stride": 2, "padding": 3},
    "grouped": {"kernel_size": 3, "padding": 1, "groups": 2},
    "dilated": {"kernel_size": 3, "padding": 2, "dilation": 2},
}


def frozen_copy(norm: nn.BatchNorm2d) -> FrozenBatchNorm2d:
    frozen = FrozenBatchNorm2d(norm.num_features).to(norm.weight.dtype)
    state = norm.state_dict()
    del state["num_batches_tracked"]
    frozen.load_state_dict(state)
    return frozen


def gradients(loss: Tensor, *of: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss.square().sum(), of)


@pytest.mark.parametrize("kwargs", CONVS.values(), ids=CONVS.keys())
@pytest.mark.parametrize("training", [True, False])
def test_a_frozen_norm_folds_with_exact_value_and_gradients(kwargs, training):
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(4, 6, bias=False, **kwargs).double(), nn.BatchNorm2d(6).double()
    randomise_norms(norm)
    frozen = frozen_copy(norm).train(training)
    x = torch.randn(2, 4, 9, 11, dtype=torch.float64, requires_grad=True)
    apart, folded = norm.eval()(conv(x)), conv_norm(x, conv, frozen)
    torch.testing.assert_close(folded, apart)
    for ours, theirs in zip(
        gradients(folded, x, conv.weight), gradients(apart, x, conv.weight), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_batch_norm_in_eval_folds_and_still_gets_its_gradients():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(4, 6, 3, bias=False).double(), nn.BatchNorm2d(6).double().eval()
    randomise_norms(norm)
    x = torch.randn(2, 4, 7, 7, dtype=torch.float64)
    inputs = (conv.weight, norm.weight, norm.bias)
    apart, folded = norm(conv(x)), conv_norm(x, conv, norm)
    torch.testing.assert_close(folded, apart)
    for ours, theirs in zip(gradients(folded, *inputs), gradients(apart, *inputs), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_batch_norm_in_training_is_not_folded():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6, momentum=0.5)
    x = torch.randn(3, 4, 8, 8)
    out = conv_norm(x, conv, norm)
    # Normalised by the batch itself, whose statistics the running ones move to.
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(norm.running_mean, 0.5 * conv(x).mean((0, 2, 3)))
    assert norm.num_batches_tracked == 1


def test_other_norms_are_just_applied():
    conv, norm = nn.Conv2d(4, 6, 3, bias=False), nn.GroupNorm(2, 6)
    x = torch.randn(1, 4, 8, 8)
    assert torch.equal(conv_norm(x, conv, norm), norm(conv(x)))


def test_a_bias_before_a_fixed_norm_is_refused():
    with pytest.raises(AssertionError):
        conv_norm(torch.randn(1, 4, 8, 8), nn.Conv2d(4, 6, 3), FrozenBatchNorm2d(6))


def test_weights_are_drawn_for_what_follows():
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 128, 3)
    init_conv(conv)  # He et al. 2015: variance 2 / (128 * 3 * 3)
    assert conv.weight.std().item() == pytest.approx((2 / 1152) ** 0.5, rel=0.02)
    assert conv.bias.tolist() == [0.0] * 128
    init_conv(conv, gain="linear")  # uniform within sqrt(3 / (64 * 3 * 3))
    assert conv.weight.abs().max().item() == pytest.approx((3 / 576) ** 0.5, rel=0.01)
    init_conv(nn.Conv2d(4, 4, 1, bias=False))


@pytest.mark.parametrize("norm", ["none", "freeze", "bn"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_with_its_norm_inside(norm, kernel):
    torch.manual_seed(0)
    layer = ConvNorm(4, 6, kernel, norm).eval()
    randomise_norms(layer)
    plain = nn.Conv2d(4, 6, kernel, padding=kernel // 2, bias=norm == "none")
    plain.load_state_dict({k: v for k, v in layer.state_dict().items() if "norm." not in k})
    x = torch.randn(2, 4, 5, 7)
    wanted = plain(x) if norm == "none" else layer.norm(plain(x))
    torch.testing.assert_close(layer(x), wanted)
    assert (layer.bias is None) == (norm != "none")


def test_a_batch_norm_inside_is_trained():
    torch.manual_seed(0)
    layer = ConvNorm(4, 6, 3, "bn")
    out = layer(torch.randn(8, 4, 5, 7) * 3 + 1)
    torch.testing.assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(6), atol=1e-5, rtol=0)
    assert layer.norm.running_mean.abs().sum() > 0
