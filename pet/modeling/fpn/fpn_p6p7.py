"""The feature pyramid of RetinaNet (Lin et al. 2017, "Focal Loss for Dense Object Detection")."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.conv import init_conv
from pet.modeling import registry
from pet.modeling.fpn.fpn import FPN


class FPNP6P7(FPN):
    """A pyramid over res3, res4 and res5, with two levels on top by convolutions of stride 2.

    ``dim_out`` is the channels of every level; ``spatial_scale`` lists the scale of P3 .. P7.
    """

    def __init__(
        self,
        dim_in: Sequence[int],
        spatial_scale: Sequence[float],
        dim: int,
        norm: str = "none",
        p6_from: str = "res5",
    ) -> None:
        """Build the pyramid: ``dim_in`` and ``spatial_scale`` of the trunk's maps, finest first.

        The finest map, res2, is left out, as it would have most of the anchors. ``norm`` "none",
        "freeze", "bn", "syncbn" or "gn", after each convolution of P3 to P5; ``p6_from`` is the
        input of P6, "res5" or "P5".
        """
        super().__init__(dim_in[1:], spatial_scale[1:], dim, norm)
        self.p6_from_p5 = p6_from == "P5"
        self.p6 = nn.Conv2d(dim if self.p6_from_p5 else dim_in[-1], dim, 3, 2, 1)
        self.p7 = nn.Conv2d(dim, dim, 3, 2, 1)
        for conv in (self.p6, self.p7):
            init_conv(conv, gain="linear")
        self.spatial_scale = [*self.spatial_scale, self.spatial_scale[-1] / 2]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Map [(res2,) res3, res4, res5] to [P3, ..., P7], each (N, dim, H_l, W_l)."""
        maps = self.merge(features[-len(self.lateral_convs) :])
        p6 = self.p6(maps[-1] if self.p6_from_p5 else features[-1])
        return [*maps, p6, self.p7(F.relu(p6))]


@registry.FPN_BODIES.register("fpn_p6p7")
def fpn_p6p7(dim_in: Sequence[int], spatial_scale: Sequence[float], cfg: CfgNode = cfg) -> FPNP6P7:
    """Return the pyramid over a trunk's maps."""
    return FPNP6P7(dim_in, spatial_scale, cfg.FPN.DIM, cfg.FPN.NORM, cfg.FPN.P6_FROM)
