import re

import pytest
import torch
from torch import nn

from pet.modeling.backbones import timm_backbone
from pet.modeling.registry import BACKBONES
from tests.layers.random_norm import randomise_norms

timm = pytest.importorskip("timm")

LITE0 = "timm/tf_efficientnet_lite0"


def build(cfg, name: str = LITE0, norm: str = "freeze", freeze_at: int = 2):
    cfg.MODEL.CONV_BODY, cfg.MODEL.BATCH_NORM, cfg.BACKBONE.FREEZE_AT = name, norm, freeze_at
    torch.manual_seed(0)
    return BACKBONES[name](cfg)


@pytest.mark.parametrize("norm", ["freeze", "bn"])
def test_maps_are_those_of_timm(norm, fresh_cfg):
    theirs = timm.create_model(
        "tf_efficientnet_lite0", features_only=True, out_indices=(1, 2, 3, 4)
    )
    randomise_norms(theirs)
    ours = build(fresh_cfg, norm=norm).eval()
    state = {key: v for key, v in theirs.state_dict().items() if key in ours.body.state_dict()}
    ours.body.load_state_dict(state)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        maps, wanted = ours(x), theirs.eval()(x)
    for our_map, their_map in zip(maps, wanted, strict=True):
        torch.testing.assert_close(our_map, their_map, atol=1e-4, rtol=1e-4)
    assert ours.dim_out == [m.shape[1] for m in maps] == [24, 40, 112, 320]
    assert ours.spatial_scale == [m.shape[2] / 64 for m in maps] == [1 / 4, 1 / 8, 1 / 16, 1 / 32]


def test_fixed_norms_have_nothing_to_train_and_do_not_move(fresh_cfg):
    trunk = build(fresh_cfg, freeze_at=0).train()
    assert not [m for m in trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not [name for name, _ in trunk.named_parameters() if ".bn" in name]
    before = {name: value.clone() for name, value in trunk.named_buffers()}
    trunk(torch.randn(2, 3, 64, 64))
    assert before and all(torch.equal(v, before[name]) for name, v in trunk.named_buffers())


@pytest.mark.parametrize(
    ("freeze_at", "first_trained"),
    [(0, "conv_stem"), (1, "blocks.1"), (2, "blocks.2"), (3, "blocks.3"), (4, "blocks.5"), (5, "")],
)
def test_freeze_at_leaves_what_is_behind_its_stride(freeze_at, first_trained, fresh_cfg):
    trunk = build(fresh_cfg, norm="bn", freeze_at=freeze_at).train()
    names = list(dict(trunk.body.named_parameters()))
    trained = [name for name, p in trunk.body.named_parameters() if p.requires_grad]
    first = next((i for i, name in enumerate(names) if name.startswith(first_trained)), 0)
    assert trained == (names[first:] if first_trained else [])
    if freeze_at < 5:
        sum(m.square().mean() for m in trunk(torch.randn(2, 3, 64, 64))).backward()
        assert all(p.grad is not None for p in trunk.parameters() if p.requires_grad)
    norms = ((n, m) for n, m in trunk.body.named_modules() if isinstance(m, nn.BatchNorm2d))
    moving = [name for name, norm in norms if norm.training]
    assert all(any(name.startswith(bn) for name in trained) for bn in moving)
    assert (not moving) == (freeze_at == 5)


def test_parameters_of_containers_are_frozen_too(fresh_cfg):
    """ConvNeXt's blocks have a factor of their own, besides that of their layers."""
    trunk = build(fresh_cfg, "timm/convnext_atto_rms", freeze_at=2)
    assert not trunk.body.stages[0].blocks[0].gamma.requires_grad
    assert trunk.body.stages[1].blocks[0].gamma.requires_grad


def test_no_map_of_stride_2_nothing_to_freeze_up_to_it(fresh_cfg):
    trunk = build(fresh_cfg, "timm/convnext_atto_rms", freeze_at=1)
    assert all(parameter.requires_grad for parameter in trunk.parameters())


def test_a_model_built_for_one_size_takes_others(fresh_cfg):
    """Swin's windows are made for 224 x 224 pixels, unless timm is told otherwise."""
    trunk = build(fresh_cfg, "timm/swin_tiny_patch4_window7_224")
    with torch.no_grad():
        maps = trunk(torch.randn(1, 3, 64, 96))
    sides = [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert [m.shape[1:] for m in maps] == [
        (dim, *side) for dim, side in zip(trunk.dim_out, sides, strict=True)
    ]


def test_synchronised_norms(fresh_cfg):
    trunk = build(fresh_cfg, norm="syncbn").train()
    assert [m for m in trunk.modules() if isinstance(m, nn.SyncBatchNorm)]
    assert len(trunk(torch.randn(2, 3, 64, 64))) == 4


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("BACKBONE.OUT_STAGE", 4, "BACKBONE.OUT_STAGE 4 is for ResNets; .*lite0' it must be 5"),
        ("BACKBONE.RES5_DILATION", 2, "BACKBONE.RES5_DILATION 2 is for ResNets"),
        ("BACKBONE.STRIDE_IN_1X1", True, "BACKBONE.STRIDE_IN_1X1 True .* it must be False"),
        ("BACKBONE.STAGE_WITH_DCN", (True,) * 4, "BACKBONE.STAGE_WITH_DCN True"),
    ],
)
def test_what_only_resnets_can_do(key, value, message, fresh_cfg):
    section, name = key.split(".")
    fresh_cfg[section][name] = value
    with pytest.raises(ValueError, match=message):
        build(fresh_cfg)


def test_norms_that_only_resnets_have(fresh_cfg):
    with pytest.raises(ValueError, match=r"BATCH_NORM 'gn' is .* must be freeze, bn or syncbn"):
        build(fresh_cfg, norm="gn")


def test_models_without_the_maps_of_a_trunk(fresh_cfg):
    message = re.escape(
        "has maps of stride [16, 16, 16], and a trunk needs those of [4, 8, 16, 32]"
    )
    with pytest.raises(ValueError, match=message):
        build(fresh_cfg, "timm/vit_tiny_patch16_224")


def test_an_unknown_model_names_the_nearest(fresh_cfg):
    with pytest.raises(
        KeyError, match=r"no model named 'resnet5' \(MODEL.CONV_BODY\); did you mean"
    ):
        build(fresh_cfg, "timm/resnet5")


def test_without_timm_it_says_what_to_install(fresh_cfg, monkeypatch):
    monkeypatch.setattr(timm_backbone, "_timm", None)
    with pytest.raises(ImportError, match=r"needs the package timm, .*; try: pip install timm"):
        build(fresh_cfg)
