"""The residual blocks of ResNet and ResNeXt, and the stages made of them."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from pet.layers.conv import conv_norm, init_conv
from pet.layers.deform_conv import DeformConv2d
from pet.layers.norm import make_norm


@dataclass(frozen=True)
class BlockStyle:
    """What the blocks of a stage have in common."""

    norm: str = "freeze"  # as ``make_norm`` takes it
    _: KW_ONLY
    eps: float = 1e-5  # added to the variance in each norm
    stride_in_1x1: bool = False  # whether a bottleneck strides in its first convolution
    groups: int = 1  # of a bottleneck's 3x3 convolution
    group_width: int = 64  # channels of such a group in res2, were there 64 in the stem
    dcn_version: int = 0  # 1 or 2: a bottleneck's 3x3 is that deformable convolution

    def make_norm(self, channels: int) -> nn.Module:
        """Return a norm of the trunk's kind."""
        return make_norm(self.norm, channels, self.eps)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1
    conv_norms = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(
        self,
        dim_in: int,
        width: int,
        stride: int,
        style: BlockStyle,
        dilations: tuple[int, int] = (1, 1),
    ) -> None:
        """``dilations`` of the convolution that may stride, and of the one behind it."""
        super().__init__()
        if style.dcn_version:
            raise ValueError(
                "deformable convolutions (BACKBONE.STAGE_WITH_DCN) stand in bottleneck blocks, "
                "which ResNet-18 and -34 do not have; give resnet50_1x64d or a larger trunk"
            )
        at, behind = dilations
        self.conv1 = nn.Conv2d(dim_in, width, 3, stride, at, at, bias=False)
        self.bn1 = style.make_norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, behind, behind, bias=False)
        self.bn2 = style.make_norm(width)
        self.downsample = _shortcut(dim_in, width, stride, style)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, dim_in, H, W) to (N, width, H / stride, W / stride)."""
        out = F.relu(conv_norm(x, self.conv1, self.bn1), inplace=True)
        out = conv_norm(out, self.conv2, self.bn2)
        out += _shortcut_of(x, self.downsample)  # in place: a map less to get and to fill
        return F.relu(out, inplace=True)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1, four times wider outside, and a shortcut."""

    expansion = 4
    conv_norms = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(
        self,
        dim_in: int,
        width: int,
        stride: int,
        style: BlockStyle,
        dilations: tuple[int, int] = (1, 1),
    ) -> None:
        """``dilations`` of the 3x3 where it is the one that may stride, and where it is behind."""
        super().__init__()
        dim_out = width * self.expansion
        inner = width * style.group_width // 64 * style.groups
        first, second = (stride, 1) if style.stride_in_1x1 else (1, stride)
        dilation = dilations[style.stride_in_1x1]
        self.conv1 = nn.Conv2d(dim_in, inner, 1, first, bias=False)
        self.bn1 = style.make_norm(inner)
        self.conv2 = _conv3x3(inner, second, dilation, style)
        self.bn2 = style.make_norm(inner)
        self.conv3 = nn.Conv2d(inner, dim_out, 1, bias=False)
        self.bn3 = style.make_norm(dim_out)
        self.downsample = _shortcut(dim_in, dim_out, stride, style)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, dim_in, H, W) to (N, 4 * width, H / stride, W / stride)."""
        out = F.relu(conv_norm(x, self.conv1, self.bn1), inplace=True)
        out = F.relu(conv_norm(out, self.conv2, self.bn2), inplace=True)
        out = conv_norm(out, self.conv3, self.bn3)
        out += _shortcut_of(x, self.downsample)  # in place: a map less to get and to fill
        return F.relu(out, inplace=True)


Block = type[BasicBlock] | type[Bottleneck]


def stage_dims(block: Block, width: int) -> list[int]:
    """Return the channels of res2 .. res5 behind a stem of ``width`` channels."""
    return [width * 2**index * block.expansion for index in range(4)]


def make_stage(
    block: Block,
    depths: Sequence[int],
    stage: int,
    width: int,
    style: BlockStyle,
    dilation: int = 1,
) -> nn.Sequential:
    """Return stage 2 .. 5 of a trunk with ``depths`` blocks a stage and ``width`` stem channels.

    A stage of ``dilation`` 2 does not stride. Its 3x3 convolutions behind the place of the stride
    are dilated in return, so that each weight meets what it would have met.
    """
    index = stage - 2
    dim_in, dim_out = [width, *stage_dims(block, width)][index : index + 2]
    inner = width * 2**index
    stride = 1 if index == 0 or dilation > 1 else 2
    blocks = [block(dim_in, inner, stride, style, (1, dilation))]
    for _ in range(depths[index] - 1):
        blocks.append(block(dim_out, inner, 1, style, (dilation, dilation)))
    return nn.Sequential(*blocks)


def init_trunk(trunk: nn.Module) -> None:
    """Draw all convolutions of ``trunk`` at random, in place."""
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            init_conv(module)
    for module in trunk.modules():
        if isinstance(module, DeformConv2d):
            module.reset_offset()


def _conv3x3(dim: int, stride: int, dilation: int, style: BlockStyle) -> nn.Conv2d:
    if style.dcn_version:
        return DeformConv2d(
            dim,
            dim,
            stride=stride,
            dilation=dilation,
            groups=style.groups,
            version=style.dcn_version,
        )
    return nn.Conv2d(dim, dim, 3, stride, dilation, dilation, style.groups, bias=False)


def _shortcut(dim_in: int, dim_out: int, stride: int, style: BlockStyle) -> nn.Sequential | None:
    if stride == 1 and dim_in == dim_out:
        return None
    conv = nn.Conv2d(dim_in, dim_out, 1, stride, bias=False)
    return _Shortcut(conv, style.make_norm(dim_out))


class _Shortcut(nn.Sequential):
    """A 1x1 convolution and its norm."""

    conv_norms = (("0", "1"),)


def _shortcut_of(x: Tensor, shortcut: nn.Sequential | None) -> Tensor:
    if shortcut is None:
        return x
    conv, norm = shortcut
    assert isinstance(conv, nn.Conv2d)
    return conv_norm(x, conv, norm)
