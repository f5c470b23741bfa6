import pytest
import torch
import torchvision.models
from torch import Tensor, nn
from torchvision.models import resnet as tv_resnet

from pet.modeling.backbones import resnet
from pet.modeling.backbones.resnet import BlockStyle, Bottleneck, ResNet
from pet.modeling.registry import BACKBONES
from tests.layers.random_norm import randomise_norms

CONV_BODIES = [
    *(f"resnet{depth}_1x64d" for depth in (18, 34, 50, 101, 152)),
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
]
STAGES = ["stem", "layer1", "layer2", "layer3", "layer4"]


def maps_of(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Return res2 .. res5 of torchvision's ``model``."""
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    maps = []
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = stage(x)
        maps.append(x)
    return maps


def trunk_state(model: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in model.state_dict().items() if not key.startswith("fc.")}


def without_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: v for key, v in state.items() if not key.endswith("num_batches_tracked")}


def stage_of(name: str) -> str:
    return name.split(".")[0] if name.startswith("layer") else "stem"


def small_trunk(norm: str = "freeze", freeze_at: int = 0) -> ResNet:
    return ResNet(Bottleneck, (1, 2, 1, 1), style=BlockStyle(norm), freeze_at=freeze_at, width=4)


@pytest.mark.parametrize(
    ("conv_body", "norm"),
    [
        *((conv_body, "freeze") for conv_body in CONV_BODIES),
        ("resnet18_1x64d", "bn"),
        ("resnet50_1x64d", "bn"),
    ],
)
def test_maps_equal_torchvisions_with_its_weights(conv_body, norm, fresh_cfg):
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, conv_body.removesuffix("_1x64d"))().eval()
    randomise_norms(theirs)
    state = trunk_state(theirs)
    if norm == "freeze":
        state = without_counters(state)

    fresh_cfg.MODEL.BATCH_NORM = norm
    with torch.device("meta"):  # no time for weights that are replaced
        ours = BACKBONES[conv_body](fresh_cfg).eval()
    assert set(ours.state_dict()) == set(state)
    ours.load_state_dict(state, assign=True)

    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for our_map, their_map in zip(ours(x), maps_of(theirs, x), strict=True):
            tolerance = 1e-4 * their_map.abs().max().item()
            torch.testing.assert_close(our_map, their_map, atol=tolerance, rtol=1e-4)


@pytest.mark.parametrize("conv_body", CONV_BODIES)
def test_dim_out_and_spatial_scale_describe_the_maps(conv_body, fresh_cfg):
    with torch.device("meta"):
        trunk = BACKBONES[conv_body](fresh_cfg)
        maps = trunk(torch.zeros(2, 3, 64, 96))
    assert [m.shape[1] for m in maps] == trunk.dim_out
    assert [m.shape[2:] for m in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert [m.shape[2] / 64 for m in maps] == trunk.spatial_scale


@pytest.mark.parametrize("block", ["BasicBlock", "Bottleneck"])
def test_gradients_equal_those_of_convolution_and_norm_apart(block):
    torch.manual_seed(0)
    theirs = tv_resnet.ResNet(getattr(tv_resnet, block), [1, 1, 1, 1]).double().eval()
    randomise_norms(theirs)
    ours = ResNet(getattr(resnet, block), (1, 1, 1, 1)).double()
    ours.load_state_dict(without_counters(trunk_state(theirs)))
    x = torch.randn(1, 3, 48, 32, dtype=torch.float64)
    for maps in (ours(x), maps_of(theirs, x)):
        sum(m.square().mean() for m in maps).backward()
    wanted = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name].grad)


@pytest.mark.parametrize("norm", ["freeze", "bn"])
@pytest.mark.parametrize("freeze_at", range(6))
def test_freeze_at_leaves_just_the_later_stages_to_train(freeze_at, norm):
    trunk = small_trunk(norm, freeze_at)
    for name, parameter in trunk.named_parameters():
        assert parameter.requires_grad == (STAGES.index(stage_of(name)) >= freeze_at), name


@pytest.mark.parametrize("freeze_at", [0, 2, 5])
def test_statistics_of_frozen_stages_do_not_move(freeze_at):
    torch.manual_seed(0)
    trunk = small_trunk("bn", freeze_at)
    before = {name: value.clone() for name, value in trunk.named_buffers()}
    for mode in (True, False, True):  # back from a test to training
        trunk.train(mode)
    trunk(torch.randn(2, 3, 64, 64) * 3 + 1)
    for name, value in trunk.named_buffers():
        moved = not torch.equal(value, before[name])
        assert moved == (STAGES.index(stage_of(name)) >= freeze_at), name


def test_frozen_stages_stay_frozen_inside_another_model():
    model = nn.ModuleDict({"Conv_Body": small_trunk("bn", 2)}).train()
    trunk = model["Conv_Body"]
    assert trunk.training and trunk.layer2.training
    assert not trunk.bn1.training and not trunk.layer1[0].bn2.training


def test_frozen_norms_have_no_parameters():
    assert not [name for name, _ in small_trunk("freeze").named_parameters() if "bn" in name]


def test_stages_can_be_built_of_other_widths_and_depths():
    trunk = small_trunk()
    assert trunk.dim_out == [16, 32, 64, 128]
    assert [len(stage) for stage in (trunk.layer1, trunk.layer2)] == [1, 2]
    assert trunk(torch.zeros(1, 3, 33, 65))[0].shape == (1, 16, 9, 17)


def test_a_block_strides_in_the_convolution_that_its_style_names():
    """MSRA's blocks take every other pixel before anything is computed from it."""
    torch.manual_seed(0)
    x = torch.randn(1, 256, 9, 12)
    x_even = torch.zeros_like(x)
    x_even[:, :, ::2, ::2] = x[:, :, ::2, ::2]
    for in_1x1 in (False, True):
        block = Bottleneck(256, 128, 2, BlockStyle(stride_in_1x1=in_1x1))
        assert block.conv1.stride == ((2, 2) if in_1x1 else (1, 1))
        assert block.conv2.stride == ((1, 1) if in_1x1 else (2, 2))
        assert block(x).shape == (1, 512, 5, 6)
        assert torch.equal(block(x), block(x_even)) == in_1x1


def test_eps_reaches_every_norm(fresh_cfg):
    fresh_cfg.MODEL.BATCH_NORM_EPS = 0.0
    with torch.device("meta"):
        trunk = BACKBONES["resnet50_1x64d"](fresh_cfg)
    assert {module.eps for module in trunk.modules() if hasattr(module, "eps")} == {0.0}
