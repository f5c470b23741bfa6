from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from pet.modeling.fpn.fpn_p6p7 import FPNP6P7
from pet.modeling.registry import FPN_BODIES

DIMS, SCALES = [4, 6, 8, 10], [1 / 4, 1 / 8, 1 / 16, 1 / 32]


def trunk_maps(sides: list[tuple[int, int]]) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, dim, *side) for dim, side in zip(DIMS, sides, strict=True)]


@pytest.mark.parametrize("p6_from", ["res5", "P5"])
@pytest.mark.parametrize(
    "sides",
    [[(64, 96), (32, 48), (16, 24), (8, 12)], [(25, 33), (13, 17), (7, 9), (4, 5)]],
)
def test_levels_equal_torchvisions_with_the_same_weights(sides, p6_from):
    torch.manual_seed(0)
    ours = FPNP6P7(DIMS, SCALES, 12, p6_from=p6_from)
    # torchvision takes P5 where the channels are those of the pyramid.
    extra = LastLevelP6P7(12 if p6_from == "P5" else 10, 12)
    theirs = FeaturePyramidNetwork(DIMS[1:], 12, extra)
    for level in range(3):
        theirs.inner_blocks[level][0].load_state_dict(ours.lateral_convs[level].state_dict())
        theirs.layer_blocks[level][0].load_state_dict(ours.output_convs[level].state_dict())
    extra.p6.load_state_dict(ours.p6.state_dict())
    extra.p7.load_state_dict(ours.p7.state_dict())
    features = trunk_maps(sides)
    wanted = list(theirs(OrderedDict((str(i), x) for i, x in enumerate(features[1:]))).values())
    for found in (ours(features), ours(features[1:])):
        assert len(found) == len(wanted) == 5
        for level, their_level in zip(found, wanted, strict=True):
            torch.testing.assert_close(level, their_level)


def test_p6_is_not_rectified_and_p7_is_made_of_its_positive_part():
    pyramid = FPNP6P7([1, 1, 1, 1], SCALES, 1)
    for conv in pyramid.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.dirac_(conv.weight)  # copies, and takes every other pixel where it strides
            nn.init.zeros_(conv.bias)
    res5 = torch.tensor([[-1.0, 2, -3, 4]]).expand(1, 1, 4, 4)
    maps = [torch.zeros(1, 1, 4 * 2**n, 4 * 2**n) for n in (3, 2, 1)]
    *_, p6, p7 = pyramid([*maps, -res5])
    assert p6[0, 0].tolist() == [[1, 3], [1, 3]]
    assert p7[0, 0].tolist() == [[1]]
    *_, p6, p7 = pyramid([*maps, res5])
    assert p6[0, 0].tolist() == [[-1, -3], [-1, -3]]
    assert p7[0, 0].tolist() == [[0]]


def test_dim_out_and_spatial_scale_describe_the_levels():
    pyramid = FPNP6P7(DIMS, SCALES, 12)
    levels = pyramid(trunk_maps([(64, 128), (32, 64), (16, 32), (8, 16)]))
    assert {level.shape[1] for level in levels} == {pyramid.dim_out} == {12}
    assert [level.shape[2] / 256 for level in levels] == pyramid.spatial_scale
    assert pyramid.spatial_scale == [1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128]


def test_the_config_sets_channels_norm_and_where_p6_comes_from(fresh_cfg):
    fresh_cfg.FPN.DIM, fresh_cfg.FPN.NORM = 32, "gn"
    build = FPN_BODIES["fpn_p6p7"]
    pyramid = build(DIMS, SCALES, fresh_cfg)
    assert pyramid.dim_out == 32 and isinstance(pyramid.output_convs[0].norm, nn.GroupNorm)
    assert pyramid.p6.in_channels == 10
    fresh_cfg.FPN.P6_FROM = "P5"
    assert build(DIMS, SCALES, fresh_cfg).p6.in_channels == 32
