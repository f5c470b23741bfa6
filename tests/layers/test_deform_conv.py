import pytest
import torch
from torch import nn

from pet.layers.conv import conv_norm
from pet.layers.deform_conv import DeformConv2d
from tests.layers.random_norm import randomise_norms


def plain_of(deform: DeformConv2d) -> nn.Conv2d:
    """Return the convolution of the same weight."""
    plain = nn.Conv2d(
        deform.in_channels,
        deform.out_channels,
        3,
        deform.stride,
        deform.padding,
        deform.dilation,
        deform.groups,
        bias=False,
    )
    plain.load_state_dict({"weight": deform.weight})
    return plain


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 2), (1, 2, 1)])
def test_it_starts_as_the_plain_convolution(version, stride, dilation, groups):
    torch.manual_seed(0)
    deform = DeformConv2d(4, 6, stride=stride, dilation=dilation, groups=groups, version=version)
    x = torch.randn(2, 4, 9, 12)
    torch.testing.assert_close(deform(x), plain_of(deform)(x), atol=1e-5, rtol=1e-5)


def test_points_move_by_what_is_predicted():
    """One point of the nine is read two rows down and one column to the right."""
    deform = DeformConv2d(1, 1)
    with torch.no_grad():
        deform.weight.zero_()
        deform.weight[0, 0, 0, 2] = 1  # the upper right point, the third
        deform.offset.bias[4:6] = torch.tensor([2.0, 1.0])  # its y and its x
        x = torch.arange(36.0).reshape(1, 1, 6, 6)
        out = deform(x)
    # It stood one row above and one column to the right of the pixel.
    assert out[0, 0, 2, 3] == x[0, 0, 3, 5]
    assert out[0, 0, 0, 0] == x[0, 0, 1, 2]
    assert out[0, 0, 5, 0] == 0  # beyond the last row


def test_half_a_pixel_is_the_mean_of_two():
    deform = DeformConv2d(1, 1)
    with torch.no_grad():
        deform.weight.zero_()
        deform.weight[0, 0, 1, 1] = 1
        deform.offset.bias[9] = 0.5  # the x of the middle point, the fifth
        x = torch.arange(16.0).reshape(1, 1, 4, 4)
        assert deform(x)[0, 0, 1, 1] == 5.5


def test_version_2_weighs_what_is_read():
    torch.manual_seed(0)
    deform = DeformConv2d(3, 2, version=2)
    x = torch.randn(1, 3, 5, 5)
    with torch.no_grad():
        deform.offset.bias[18:] = -torch.log(torch.tensor(3.0))  # 2 * sigmoid is a half
        torch.testing.assert_close(deform(x), plain_of(deform)(x) / 2)


@pytest.mark.parametrize("version", [1, 2])
def test_gradients_reach_the_offsets(version):
    torch.manual_seed(0)
    deform = DeformConv2d(3, 2, version=version)
    deform(torch.randn(1, 3, 6, 6)).square().sum().backward()
    # Zero weights of the offsets leave their input no gradient, but have one themselves.
    assert all((p.grad != 0).any() for p in deform.parameters())
    assert (deform.offset.bias.grad != 0).all()


@pytest.mark.parametrize("training", [True, False])
def test_a_norm_is_folded_into_it(training):
    torch.manual_seed(0)
    deform, norm = DeformConv2d(4, 6, version=2), nn.BatchNorm2d(6)
    nn.init.normal_(deform.offset.weight, std=0.1)
    randomise_norms(norm)
    norm.train(training)
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(conv_norm(x, deform, norm), norm(deform(x)), atol=1e-4, rtol=1e-4)


def test_a_folded_bias_is_added():
    torch.manual_seed(0)
    deform = DeformConv2d(4, 6)
    x = torch.randn(1, 4, 5, 5)
    wanted = deform(x) + torch.arange(6.0).reshape(1, 6, 1, 1)
    deform.bias = nn.Parameter(torch.arange(6.0))
    torch.testing.assert_close(deform(x), wanted)


def test_no_images():
    assert DeformConv2d(4, 6)(torch.zeros(0, 4, 8, 8)).shape == (0, 6, 8, 8)
