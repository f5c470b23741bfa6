"""What a ResNet may be besides the plain one: dilated, cut, deformable, of other norms."""

import pytest
import torch
import torchvision.models
from torch import nn

from pet.layers.deform_conv import DeformConv2d
from pet.modeling.backbones import resnet
from pet.modeling.backbones.resnet import BlockStyle, Bottleneck, ResNet, build_res5
from pet.modeling.registry import BACKBONES
from tests.layers.random_norm import randomise_norms
from tests.modeling.backbones.test_resnet import maps_of, trunk_state, without_counters

DEPTHS = (1, 1, 1, 2)


def small(
    block: str = "Bottleneck", stride_in_1x1: bool = False, norm="freeze", **kwargs
) -> ResNet:
    torch.manual_seed(0)
    style = BlockStyle(norm, stride_in_1x1=stride_in_1x1, dcn_version=kwargs.pop("dcn", 0))
    width = kwargs.pop("width", 4)
    trunk = ResNet(getattr(resnet, block), DEPTHS, style=style, width=width, **kwargs)
    randomise_norms(trunk)
    return trunk.eval()


def test_a_dilated_trunk_equals_torchvisions(fresh_cfg):
    torch.manual_seed(0)
    theirs = torchvision.models.resnet50(replace_stride_with_dilation=[False, False, True]).eval()
    randomise_norms(theirs)
    fresh_cfg.BACKBONE.RES5_DILATION = 2
    with torch.device("meta"):
        ours = BACKBONES["resnet50_1x64d"](fresh_cfg).eval()
    ours.load_state_dict(without_counters(trunk_state(theirs)), assign=True)
    assert ours.spatial_scale == [1 / 4, 1 / 8, 1 / 16, 1 / 16]
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for our_map, their_map in zip(ours(x), maps_of(theirs, x), strict=True):
            tolerance = 1e-4 * their_map.abs().max().item()
            torch.testing.assert_close(our_map, their_map, atol=tolerance, rtol=1e-4)


@pytest.mark.parametrize("dcn", [0, 2])
@pytest.mark.parametrize("stride_in_1x1", [False, True])
@pytest.mark.parametrize("block", ["BasicBlock", "Bottleneck"])
def test_every_other_pixel_of_a_dilated_res5_is_the_plain_one(block, stride_in_1x1, dcn):
    """The weights meet what they were trained on, and more of it."""
    dcn = dcn if block == "Bottleneck" else 0
    plain = small(block, stride_in_1x1, dcn=dcn)
    dilated = small(block, stride_in_1x1, dcn=dcn, res5_dilation=2)
    x = torch.randn(2, 3, 75, 110)
    with torch.no_grad():
        (*_, wanted), (*_, found) = plain(x), dilated(x)
    assert found.shape[2:] == (5, 7) and wanted.shape[2:] == (3, 4)
    torch.testing.assert_close(found[:, :, ::2, ::2], wanted, atol=1e-5, rtol=1e-5)


def test_a_trunk_may_end_at_res4():
    whole, cut = small(), small(out_stage=4)
    cut.load_state_dict({k: v for k, v in whole.state_dict().items() if "layer4" not in k})
    x = torch.randn(1, 3, 64, 64)
    assert cut.dim_out == [16, 32, 64] and cut.spatial_scale == [1 / 4, 1 / 8, 1 / 16]
    for ours, theirs in zip(cut(x), whole(x)[:3], strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("conv_body", ["resnet18_1x64d", "resnet50_1x64d", "resnext50_32x4d"])
def test_res5_apart_is_that_of_the_trunk(conv_body, fresh_cfg):
    trunk = BACKBONES[conv_body](fresh_cfg).eval()
    fresh_cfg.MODEL.CONV_BODY = conv_body
    res5, dim_out = build_res5(fresh_cfg)
    assert dim_out == trunk.dim_out[-1]
    res5.load_state_dict(trunk.layer4.state_dict())
    x = torch.randn(2, trunk.dim_out[2], 14, 14)
    with torch.no_grad():
        assert torch.equal(res5.eval()(x), trunk.layer4(x))
        assert res5(x).shape == (2, dim_out, 7, 7)


def test_other_trunks_have_no_res5(fresh_cfg):
    fresh_cfg.MODEL.CONV_BODY = "timm/resnet18"
    with pytest.raises(ValueError, match=r"'timm/resnet18' has no res5 .* a trunk among resnet18"):
        build_res5(fresh_cfg)


@pytest.mark.parametrize("version", [1, 2])
def test_deformable_stages_start_as_plain_ones(version, fresh_cfg):
    stages = (False, True, False, True)
    plain, deformable = small(), small(dcn=version, dcn_stages=stages)
    with_dcn = {
        name.split(".")[0] for name, m in deformable.named_modules() if isinstance(m, DeformConv2d)
    }
    assert with_dcn == {"layer2", "layer4"}
    state = plain.state_dict()
    added = deformable.load_state_dict(state, strict=False)
    assert added.unexpected_keys == []
    assert all(".conv2.offset." in key for key in added.missing_keys) and added.missing_keys
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(deformable(x), plain(x), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)

    fresh_cfg.BACKBONE.STAGE_WITH_DCN, fresh_cfg.BACKBONE.DCN_VERSION = stages, version
    with torch.device("meta"):
        trunk = BACKBONES["resnet50_1x64d"](fresh_cfg)
    assert isinstance(trunk.layer2[3].conv2, DeformConv2d)
    assert trunk.layer2[3].conv2.offset.out_channels == 9 * (version + 1)
    assert not isinstance(trunk.layer3[0].conv2, DeformConv2d)


def test_basic_blocks_are_not_deformable():
    with pytest.raises(ValueError, match=r"BACKBONE.STAGE_WITH_DCN.* give resnet50_1x64d"):
        small("BasicBlock", dcn=1)
    small("BasicBlock", dcn=1, dcn_stages=(False,) * 4)


@pytest.mark.parametrize("norm", ["syncbn", "gn"])
def test_other_norms(norm):
    trunk = small(norm=norm, width=32, freeze_at=2).train()
    kind = nn.GroupNorm if norm == "gn" else nn.SyncBatchNorm
    assert isinstance(trunk.bn1, kind) and isinstance(trunk.layer4[0].downsample[1], kind)
    maps = trunk(torch.randn(2, 3, 64, 64))
    sum(m.square().mean() for m in maps).backward()
    for name, parameter in trunk.named_parameters():
        frozen = not name.startswith(("layer2", "layer3", "layer4"))
        assert (parameter.grad is None) == frozen, name
    assert not trunk.layer1[0].bn1.training and trunk.layer2[0].bn1.training


def test_norms_differ_by_name_and_share_their_keys():
    bn, gn = (small(norm=norm, width=32).state_dict() for norm in ("bn", "gn"))
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert set(gn) == {key for key in bn if not key.endswith(statistics)}


def test_a_bottleneck_is_dilated_behind_its_stride():
    """MSRA's blocks stride ahead of their 3x3, so that it is dilated from the first block on."""
    for in_1x1, wanted in ((False, [(1, 1), (2, 2)]), (True, [(2, 2), (2, 2)])):
        trunk = small(stride_in_1x1=in_1x1, res5_dilation=2)
        assert [block.conv2.dilation for block in trunk.layer4] == wanted
        assert all(isinstance(block, Bottleneck) for block in trunk.layer4)
