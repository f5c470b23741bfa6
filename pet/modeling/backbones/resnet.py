"""ResNet (He et al. 2016) and ResNeXt (Xie et al. 2017) trunks with torchvision's names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.conv import conv_norm
from pet.modeling import registry
from pet.modeling.backbones.resnet_blocks import (
    BasicBlock,
    Block,
    BlockStyle,
    Bottleneck,
    init_trunk,
    make_stage,
    stage_dims,
)


class ResNet(nn.Module):
    """The stem and the stages of a ResNet, without its classifier.

    ``dim_out`` and ``spatial_scale`` list channels and scale of res2 .. res5, or .. res4.
    """

    conv_norms = (("conv1", "bn1"),)

    layer4: nn.Sequential | None

    def __init__(
        self,
        block: Block,
        depths: Sequence[int],
        *,
        style: BlockStyle | None = None,
        freeze_at: int = 0,
        width: int = 64,
        out_stage: int = 5,
        res5_dilation: int = 1,
        dcn_stages: Sequence[bool] = (True, True, True, True),
    ) -> None:
        """Build the trunk.

        ``depths`` blocks of each stage; ``freeze_at`` stages that are not trained, counting the
        stem as the first; ``width`` channels of the stem; ``out_stage`` the last stage, 4 or 5;
        ``res5_dilation`` 2 keeps res5 at the scale of res4; ``dcn_stages`` which of res2 .. res5
        have the deformable convolutions of ``style``, if it has any.
        """
        super().__init__()
        style = style or BlockStyle()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = style.make_norm(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.freeze_at = freeze_at

        def stage(number: int, dilation: int = 1) -> nn.Sequential:
            own_style = style if dcn_stages[number - 2] else replace(style, dcn_version=0)
            return make_stage(block, depths, number, width, own_style, dilation)

        self.layer1, self.layer2, self.layer3 = stage(2), stage(3), stage(4)
        self.layer4 = stage(5, res5_dilation) if out_stage == 5 else None
        self.dim_out = stage_dims(block, width)[: out_stage - 1]
        scales = [1 / 4, 1 / 8, 1 / 16, res5_dilation / 32]
        self.spatial_scale = scales[: out_stage - 1]

        init_trunk(self)
        for module in self._frozen_parts():
            module.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map images (N, 3, H, W) to [res2 (N, C, H/4, W/4), ..., res5 (N, 8C, H/32, W/32)].

        Or to [res2, ..., res4]; a dilated res5 is (N, 8C, H/16, W/16).
        """
        x = self.maxpool(F.relu(conv_norm(x, self.conv1, self.bn1), inplace=True))
        maps = []
        for stage in self._stages():
            x = stage(x)
            maps.append(x)
        return maps

    def train(self, mode: bool = True) -> "ResNet":
        """Switch to training, but keep the statistics of the stages that are not trained."""
        super().train(mode)
        for module in self._frozen_parts():
            module.eval()
        return self

    def _stages(self) -> list[nn.Sequential]:
        last = [] if self.layer4 is None else [self.layer4]
        return [self.layer1, self.layer2, self.layer3, *last]

    def _frozen_parts(self) -> list[nn.Module]:
        stem = nn.ModuleList([self.conv1, self.bn1])
        return [stem, *self._stages()][: self.freeze_at]


@dataclass(frozen=True)
class ResNetShape:
    """What one ResNet differs in from the others."""

    block: Block
    depths: tuple[int, int, int, int]  # blocks of res2 .. res5
    width: int = 64  # channels of the stem
    groups: int = 1  # of a bottleneck's 3x3 convolution
    group_width: int = 64  # channels of such a group in res2


#: The registered trunks: "1x64d" is one group of 64 channels in res2, "32x8d" 32 groups of 8.
SHAPES: Mapping[str, ResNetShape] = {
    "resnet18_1x64d": ResNetShape(BasicBlock, (2, 2, 2, 2)),
    "resnet18_1x32d": ResNetShape(BasicBlock, (2, 2, 2, 2), width=32),  # small pictures, a CPU
    "resnet34_1x64d": ResNetShape(BasicBlock, (3, 4, 6, 3)),
    "resnet50_1x64d": ResNetShape(Bottleneck, (3, 4, 6, 3)),
    "resnet101_1x64d": ResNetShape(Bottleneck, (3, 4, 23, 3)),
    "resnet152_1x64d": ResNetShape(Bottleneck, (3, 8, 36, 3)),
    "resnext50_32x4d": ResNetShape(Bottleneck, (3, 4, 6, 3), groups=32, group_width=4),
    "resnext101_32x8d": ResNetShape(Bottleneck, (3, 4, 23, 3), groups=32, group_width=8),
    "resnext101_64x4d": ResNetShape(Bottleneck, (3, 4, 23, 3), groups=64, group_width=4),
}


def _style(shape: ResNetShape, cfg: CfgNode) -> BlockStyle:
    return BlockStyle(
        cfg.MODEL.BATCH_NORM,
        eps=cfg.MODEL.BATCH_NORM_EPS,
        stride_in_1x1=cfg.BACKBONE.STRIDE_IN_1X1,
        groups=shape.groups,
        group_width=shape.group_width,
        dcn_version=cfg.BACKBONE.DCN_VERSION if any(cfg.BACKBONE.STAGE_WITH_DCN) else 0,
    )


def _register(name: str, shape: ResNetShape) -> None:
    @registry.BACKBONES.register(name)
    def build(cfg: CfgNode = cfg) -> ResNet:
        backbone = cfg.BACKBONE
        return ResNet(
            shape.block,
            shape.depths,
            style=_style(shape, cfg),
            freeze_at=backbone.FREEZE_AT,
            width=shape.width,
            out_stage=backbone.OUT_STAGE,
            res5_dilation=backbone.RES5_DILATION,
            dcn_stages=tuple(backbone.STAGE_WITH_DCN),
        )


for _name, _shape in SHAPES.items():
    _register(_name, _shape)


def build_res5(cfg: CfgNode = cfg) -> tuple[nn.Sequential, int]:
    """Return res5 of the trunk ``MODEL.CONV_BODY``, to stand apart from it, and its channels.

    Raises ValueError where the trunk is no ResNet.
    """
    name = cfg.MODEL.CONV_BODY
    if name not in SHAPES:
        raise ValueError(
            f"MODEL.CONV_BODY {name!r} has no res5 to be a head (FAST_RCNN.ROI_BOX_HEAD); give "
            f"another head, or a trunk among {', '.join(SHAPES)}"
        )
    shape, style = SHAPES[name], _style(SHAPES[name], cfg)
    if not cfg.BACKBONE.STAGE_WITH_DCN[3]:
        style = replace(style, dcn_version=0)
    res5 = make_stage(shape.block, shape.depths, 5, shape.width, style)
    init_trunk(res5)
    return res5, stage_dims(shape.block, shape.width)[3]
