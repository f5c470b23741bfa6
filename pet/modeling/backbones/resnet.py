"""ResNet (He et al. 2016) and ResNeXt (Xie et al. 2017) trunks with torchvision's names."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.conv import conv_norm, init_conv
from pet.layers.norm import make_norm
from pet.modeling import registry


@dataclass(frozen=True)
class BlockStyle:
    """What the blocks of a trunk have in common."""

    norm: str = "freeze"  # "freeze" or "bn"
    eps: float = 1e-5  # added to the variance in each norm
    stride_in_1x1: bool = False  # whether a bottleneck strides in its first convolution
    groups: int = 1  # of a bottleneck's 3x3 convolution
    group_width: int = 64  # channels of such a group in res2, were there 64 in the stem

    def make_norm(self, channels: int) -> nn.Module:
        """Return a norm of the trunk's kind."""
        return make_norm(self.norm, channels, self.eps)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, dim_in: int, width: int, stride: int, style: BlockStyle) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim_in, width, 3, stride, 1, bias=False)
        self.bn1 = style.make_norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = style.make_norm(width)
        self.downsample = _shortcut(dim_in, width, stride, style)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, dim_in, H, W) to (N, width, H / stride, W / stride)."""
        out = F.relu(conv_norm(x, self.conv1, self.bn1), inplace=True)
        out = conv_norm(out, self.conv2, self.bn2)
        return F.relu(out + _shortcut_of(x, self.downsample), inplace=True)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1, four times wider outside, and a shortcut."""

    expansion = 4

    def __init__(self, dim_in: int, width: int, stride: int, style: BlockStyle) -> None:
        super().__init__()
        dim_out = width * self.expansion
        inner = width * style.group_width // 64 * style.groups
        first, second = (stride, 1) if style.stride_in_1x1 else (1, stride)
        self.conv1 = nn.Conv2d(dim_in, inner, 1, first, bias=False)
        self.bn1 = style.make_norm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, second, 1, groups=style.groups, bias=False)
        self.bn2 = style.make_norm(inner)
        self.conv3 = nn.Conv2d(inner, dim_out, 1, bias=False)
        self.bn3 = style.make_norm(dim_out)
        self.downsample = _shortcut(dim_in, dim_out, stride, style)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, dim_in, H, W) to (N, 4 * width, H / stride, W / stride)."""
        out = F.relu(conv_norm(x, self.conv1, self.bn1), inplace=True)
        out = F.relu(conv_norm(out, self.conv2, self.bn2), inplace=True)
        out = conv_norm(out, self.conv3, self.bn3)
        return F.relu(out + _shortcut_of(x, self.downsample), inplace=True)


class ResNet(nn.Module):
    """The stem and four stages of a ResNet, without its classifier.

    ``dim_out`` and ``spatial_scale`` list channels and scale of res2 .. res5.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        style: BlockStyle | None = None,
        freeze_at: int = 0,
        width: int = 64,
    ) -> None:
        """Build the trunk.

        ``depths`` blocks of each stage; ``freeze_at`` stages that are not trained, counting the
        stem as the first; ``width`` channels of the stem.
        """
        super().__init__()
        style = style or BlockStyle()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = style.make_norm(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.freeze_at = freeze_at

        dims = [width * 2**index * block.expansion for index in range(4)]
        self.layer1 = _stage(block, width, dims[0], width, 1, depths[0], style)
        self.layer2 = _stage(block, dims[0], dims[1], width * 2, 2, depths[1], style)
        self.layer3 = _stage(block, dims[1], dims[2], width * 4, 2, depths[2], style)
        self.layer4 = _stage(block, dims[2], dims[3], width * 8, 2, depths[3], style)
        self.dim_out = dims
        self.spatial_scale = [1 / 4, 1 / 8, 1 / 16, 1 / 32]

        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init_conv(module)
        for module in self._frozen_parts():
            module.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (N, 3, H, W) to [res2 (N, C, H/4, W/4), ..., res5 (N, 8C, H/32, W/32)]."""
        x = self.maxpool(F.relu(conv_norm(x, self.conv1, self.bn1), inplace=True))
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps

    def train(self, mode: bool = True) -> "ResNet":
        """Switch to training, but keep the statistics of the stages that are not trained."""
        super().train(mode)
        for module in self._frozen_parts():
            module.eval()
        return self

    def _frozen_parts(self) -> list[nn.Module]:
        stem = nn.ModuleList([self.conv1, self.bn1])
        return [stem, self.layer1, self.layer2, self.layer3, self.layer4][: self.freeze_at]


def _stage(
    block: type[BasicBlock] | type[Bottleneck],
    dim_in: int,
    dim_out: int,
    width: int,
    stride: int,
    depth: int,
    style: BlockStyle,
) -> nn.Sequential:
    first = block(dim_in, width, stride, style)
    return nn.Sequential(first, *(block(dim_out, width, 1, style) for _ in range(depth - 1)))


def _shortcut(dim_in: int, dim_out: int, stride: int, style: BlockStyle) -> nn.Sequential | None:
    if stride == 1 and dim_in == dim_out:
        return None
    conv = nn.Conv2d(dim_in, dim_out, 1, stride, bias=False)
    return nn.Sequential(conv, style.make_norm(dim_out))


def _shortcut_of(x: Tensor, shortcut: nn.Sequential | None) -> Tensor:
    if shortcut is None:
        return x
    conv, norm = shortcut
    assert isinstance(conv, nn.Conv2d)
    return conv_norm(x, conv, norm)


def _build(
    block: type[BasicBlock] | type[Bottleneck],
    depths: Sequence[int],
    cfg: CfgNode,
    width: int = 64,
    groups: int = 1,
    group_width: int = 64,
) -> ResNet:
    style = BlockStyle(
        cfg.MODEL.BATCH_NORM,
        cfg.MODEL.BATCH_NORM_EPS,
        cfg.BACKBONE.STRIDE_IN_1X1,
        groups,
        group_width,
    )
    return ResNet(block, depths, style, cfg.BACKBONE.FREEZE_AT, width)


@registry.BACKBONES.register("resnet18_1x64d")
def resnet18_1x64d(cfg: CfgNode = cfg) -> ResNet:
    """Return the 18-layer trunk, 512 channels at res5."""
    return _build(BasicBlock, (2, 2, 2, 2), cfg)


@registry.BACKBONES.register("resnet18_1x32d")
def resnet18_1x32d(cfg: CfgNode = cfg) -> ResNet:
    """Return the 18-layer trunk at half width, 256 channels at res5: small pictures, a CPU."""
    return _build(BasicBlock, (2, 2, 2, 2), cfg, width=32)


@registry.BACKBONES.register("resnet34_1x64d")
def resnet34_1x64d(cfg: CfgNode = cfg) -> ResNet:
    """Return the 34-layer trunk, 512 channels at res5."""
    return _build(BasicBlock, (3, 4, 6, 3), cfg)


@registry.BACKBONES.register("resnet50_1x64d")
def resnet50_1x64d(cfg: CfgNode = cfg) -> ResNet:
    """Return the 50-layer trunk, 2048 channels at res5."""
    return _build(Bottleneck, (3, 4, 6, 3), cfg)


@registry.BACKBONES.register("resnet101_1x64d")
def resnet101_1x64d(cfg: CfgNode = cfg) -> ResNet:
    """Return the 101-layer trunk, 2048 channels at res5."""
    return _build(Bottleneck, (3, 4, 23, 3), cfg)


@registry.BACKBONES.register("resnet152_1x64d")
def resnet152_1x64d(cfg: CfgNode = cfg) -> ResNet:
    """Return the 152-layer trunk, 2048 channels at res5."""
    return _build(Bottleneck, (3, 8, 36, 3), cfg)


@registry.BACKBONES.register("resnext101_32x8d")
def resnext101_32x8d(cfg: CfgNode = cfg) -> ResNet:
    """Return the 101-layer ResNeXt trunk, 32 groups of 8 channels in res2, 2048 at res5."""
    return _build(Bottleneck, (3, 4, 23, 3), cfg, groups=32, group_width=8)
