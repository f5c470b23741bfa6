from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from pet.modeling.fpn.fpn import FPN
from pet.modeling.registry import FPN_BODIES
from tests.layers.random_norm import randomise_norms

DIMS, SCALES = [4, 6, 8, 10], [1 / 4, 1 / 8, 1 / 16, 1 / 32]


def trunk_maps(sides: list[tuple[int, int]]) -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, dim, *side) for dim, side in zip(DIMS, sides, strict=True)]


@pytest.mark.parametrize(
    "sides",
    [
        [(32, 40), (16, 20), (8, 10), (4, 5)],
        [(25, 33), (13, 17), (7, 9), (4, 5)],  # odd: a coarse map is no half of the finer one
    ],
)
def test_levels_equal_torchvisions_with_the_same_weights(sides):
    torch.manual_seed(0)
    ours = FPN(DIMS, SCALES, 12)
    theirs = FeaturePyramidNetwork(DIMS, 12, LastLevelMaxPool())
    for level in range(4):
        theirs.inner_blocks[level][0].load_state_dict(ours.lateral_convs[level].state_dict())
        theirs.layer_blocks[level][0].load_state_dict(ours.output_convs[level].state_dict())
    features = trunk_maps(sides)
    wanted = theirs(OrderedDict((str(i), x) for i, x in enumerate(features))).values()
    levels = ours(features)
    assert len(levels) == 5
    for level, their_level in zip(levels, wanted, strict=True):
        torch.testing.assert_close(level, their_level)


def test_dim_out_and_spatial_scale_describe_the_levels():
    pyramid = FPN(DIMS, SCALES, 12)
    levels = pyramid(trunk_maps([(32, 64), (16, 32), (8, 16), (4, 8)]))
    assert {level.shape[1] for level in levels} == {pyramid.dim_out} == {12}
    assert [level.shape[2] / 128 for level in levels] == pyramid.spatial_scale
    assert pyramid.spatial_scale[-1] == 1 / 64


def test_the_maps_of_the_trunk_are_left_alone():
    features = trunk_maps([(8, 8), (4, 4), (2, 2), (1, 1)])
    before = [feature.clone() for feature in features]
    FPN(DIMS, SCALES, 12)(features)
    assert all(torch.equal(a, b) for a, b in zip(features, before, strict=True))


def test_the_config_sets_the_channels(fresh_cfg):
    fresh_cfg.FPN.DIM = 24
    assert FPN_BODIES[fresh_cfg.FPN.BODY](DIMS, SCALES, fresh_cfg).dim_out == 24


def test_a_norm_stands_behind_each_convolution():
    torch.manual_seed(0)
    ours = FPN(DIMS, SCALES, 12, "bn").eval()
    randomise_norms(ours)
    theirs = FeaturePyramidNetwork(DIMS, 12, LastLevelMaxPool(), nn.BatchNorm2d).eval()
    for blocks, convs in (
        (theirs.inner_blocks, ours.lateral_convs),
        (theirs.layer_blocks, ours.output_convs),
    ):
        for block, conv in zip(blocks, convs, strict=True):
            block[0].weight = conv.weight
            block[1].load_state_dict(conv.norm.state_dict())
    features = trunk_maps([(8, 10), (4, 5), (2, 3), (1, 2)])
    wanted = theirs(OrderedDict((str(i), x) for i, x in enumerate(features))).values()
    for level, their_level in zip(ours(features), wanted, strict=True):
        torch.testing.assert_close(level, their_level)
