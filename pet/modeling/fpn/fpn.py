"""The feature pyramid network of Lin et al. 2017."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.conv import ConvNorm, init_conv
from pet.modeling import registry


class FPN(nn.Module):
    """A top-down pyramid that adds coarse maps to finer ones, with one subsampled level on top.

    ``dim_out`` is the channels of every level; ``spatial_scale`` lists the scale of P2 .. P6.
    """

    def __init__(
        self, dim_in: Sequence[int], spatial_scale: Sequence[float], dim: int, norm: str = "none"
    ) -> None:
        """Build the pyramid: ``dim_in`` and ``spatial_scale`` of the trunk's maps, finest first.

        ``norm`` after each convolution: "none", or as ``make_norm`` takes it.
        """
        super().__init__()
        lateral_convs = [ConvNorm(d, dim, 1, norm) for d in dim_in]
        output_convs = [ConvNorm(dim, dim, 3, norm) for _ in dim_in]
        for conv in (*lateral_convs, *output_convs):
            init_conv(conv, gain="linear")
        self.lateral_convs = nn.ModuleList(lateral_convs)
        self.output_convs = nn.ModuleList(output_convs)
        self.dim_out = dim
        self.spatial_scale = [*spatial_scale, spatial_scale[-1] / 2]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map [res2, ..., res5] to [P2, ..., P5, P6], each (N, dim, H_l, W_l)."""
        maps = self.merge(features)
        return [*maps, F.max_pool2d(maps[-1], kernel_size=1, stride=2)]

    def merge(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map the trunk's maps to one pyramid level each, (N, dim, H_l, W_l)."""
        inner = [conv(x) for conv, x in zip(self.lateral_convs, features, strict=True)]
        for level in range(len(inner) - 2, -1, -1):
            size = inner[level].shape[-2:]
            inner[level] += F.interpolate(inner[level + 1], size=size, mode="nearest")
        return [conv(x) for conv, x in zip(self.output_convs, inner, strict=True)]


@registry.FPN_BODIES.register("fpn")
def fpn(dim_in: Sequence[int], spatial_scale: Sequence[float], cfg: CfgNode = cfg) -> FPN:
    """Return the pyramid over a trunk's maps."""
    return FPN(dim_in, spatial_scale, cfg.FPN.DIM, cfg.FPN.NORM)
