import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pet.layers.conv import ConvNorm, conv_norm
from pet.ops import conv3x3
from pet.ops.conv3x3 import use_winograd
from pet.ops.cpu.winograd import winograd_conv3x3


def plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(x, weight, bias, padding=1)


def drawn(shape, channels, dtype=torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=dtype)

    x = draw(*shape).contiguous(memory_format=torch.channels_last)
    weight = draw(channels, shape[1], 3, 3) / (9 * shape[1]) ** 0.5
    return x, weight, draw(channels)


# Whole strips of four rows and others, one row, one column, no image; more channels than weights.
SHAPES = [(1, 8, 12, 7), (2, 8, 13, 7), (3, 4, 1, 5), (1, 4, 6, 1), (0, 4, 8, 8), (2, 3, 30, 22)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("block", [1, 1500, 2**20])  # values at a time: cut in every way
@pytest.mark.parametrize("with_bias", [False, True])
def test_values_and_gradients_are_those_of_the_plain_convolution(
    shape, block, with_bias, monkeypatch
):
    monkeypatch.setattr("pet.ops.cpu.winograd._BLOCK", block)
    x, weight, bias = drawn(shape, 5)
    inputs = [x, weight, bias] if with_bias else [x, weight]
    found = []
    for convolve in (winograd_conv3x3, plain):
        leaves = [tensor.clone().requires_grad_() for tensor in inputs]
        result = convolve(*leaves, *([] if with_bias else [None]))
        gradients = torch.autograd.grad(result.sin().sum(), leaves)
        found.append((result, *gradients))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_only_the_gradients_that_are_wanted_are_computed():
    x, weight, bias = drawn((1, 4, 8, 8), 5)
    weight.requires_grad_()
    winograd_conv3x3(x, weight, bias).sum().backward()
    assert weight.grad is not None and x.grad is None and bias.grad is None


def test_the_result_can_be_changed_in_place():
    x, weight, bias = drawn((2, 4, 9, 8), 5)
    weight.requires_grad_()
    for convolve in (winograd_conv3x3, plain):
        F.relu(convolve(x, weight, bias), inplace=True).sum().backward()
    (twice,) = torch.autograd.grad(F.relu(plain(x, weight, bias)).sum(), weight)
    torch.testing.assert_close(weight.grad, 2 * twice)


def test_rounding_errors_are_at_most_twice_those_of_a_plain_convolution():
    x, weight, bias = drawn((1, 256, 32, 40), 256, torch.float32)
    exact = plain(x.double(), weight.double(), bias.double())

    def error(result: Tensor) -> float:
        return float((result - exact).square().mean().sqrt() / exact.square().mean().sqrt())

    weight_last = weight.contiguous(memory_format=torch.channels_last)
    assert error(winograd_conv3x3(x, weight, bias)) < 2 * error(plain(x, weight_last, bias)) < 5e-6


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"dtype": torch.float64}, False),
        ({"dtype": torch.bfloat16}, False),
        ({"shape": (1, 128, 10, 10)}, False),
        ({"shape": (1, 64, 60, 60)}, False),
        ({"channels": 512}, False),
        ({"channels": 64}, False),
        ({"shape": (1, 128, 6, 600)}, False),
        ({"shape": (1, 256, 60, 60), "weights_of": 128}, False),
        ({"shape": (128, 60, 60), "weights_of": 128}, False),
        ({"weight_dtype": torch.bfloat16}, False),
    ],
    ids=str,
)
def test_it_is_taken_where_it_is_faster(change, expected, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    given = {"shape": (1, 128, 60, 60), "channels": 128, "dtype": torch.float32, **change}
    x = torch.zeros(given["shape"], dtype=given["dtype"])
    size = (given["channels"], given.get("weights_of", given["shape"][1]), 3, 3)
    weight = torch.zeros(size, dtype=given.get("weight_dtype", given["dtype"]))
    assert use_winograd(x, weight) == expected
    with torch.autocast("cpu", torch.bfloat16):
        assert not use_winograd(x, weight)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert not use_winograd(x, weight)


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({"kernel_size": 3, "padding": 1}, True),
        ({"kernel_size": 1}, False),
        ({"kernel_size": 5, "padding": 2}, False),
        ({"kernel_size": 3}, False),
        ({"kernel_size": 3, "padding": 1, "stride": 2}, False),
        ({"kernel_size": 3, "padding": 1, "dilation": 2}, False),
        ({"kernel_size": 3, "padding": 2, "dilation": 2}, False),
        ({"kernel_size": 3, "padding": 1, "groups": 2}, False),
    ],
    ids=str,
)
def test_a_layer_takes_it_for_plain_3x3_alone(kwargs, expected, monkeypatch):
    asked = []
    monkeypatch.setattr(conv3x3, "use_winograd", lambda x, weight: asked.append(x) or True)
    x, conv = torch.randn(1, 4, 9, 10), nn.Conv2d(4, 4, **kwargs)
    torch.testing.assert_close(conv_norm(x, conv, nn.Identity()), conv(x))
    assert bool(asked) == expected


def test_a_compiled_layer_is_one_graph():
    layer, x = ConvNorm(128, 128, 3), torch.randn(1, 128, 60, 60)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), plain(x, layer.weight, layer.bias))


def test_gradients_keep_their_precision_under_autocast():
    x, weight, _ = drawn((1, 128, 14, 14), 128, torch.float32)
    weight.requires_grad_()
    result, wanted = (
        convolve(x, weight, None).sin().sum() for convolve in (winograd_conv3x3, plain)
    )
    with torch.autocast("cpu", torch.bfloat16):
        (gradient,) = torch.autograd.grad(result, weight)
    (exact,) = torch.autograd.grad(wanted, weight)
    assert (gradient - exact).norm() < 1e-5 * exact.norm()
