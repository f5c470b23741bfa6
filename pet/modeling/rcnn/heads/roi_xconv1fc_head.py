"""The box head of a stack of 3x3 convolutions and one fully connected layer (Wu and He 2018)."""

from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.conv import init_conv
from pet.modeling import registry
from pet.modeling.rcnn.heads.roi_convx_head import RoiConvxHead


class RoiXconv1fcHead(RoiConvxHead):
    """3x3 convolutions and a fully connected layer with ReLU; ``dim_out`` is the layer's width."""

    def __init__(
        self,
        dim_in: int,
        resolution: tuple[int, int],
        *,
        num_convs: int,
        conv_dim: int,
        dim: int,
        norm: str = "none",
    ) -> None:
        """``norm`` behind each convolution: "none", or as ``make_norm`` takes it."""
        super().__init__(dim_in, num_convs, conv_dim, norm)
        self.fc1 = nn.Linear(self.dim_out * resolution[0] * resolution[1], dim)
        init_conv(self.fc1, gain="linear")
        self.dim_out = dim

    def forward(self, x: Tensor) -> Tensor:
        """Map pooled RoIs (R, C, height, width) to (R, dim_out)."""
        return F.relu(self.fc1(super().forward(x).flatten(1)))


@registry.ROI_BOX_HEADS.register("roi_xconv1fc_head")
def roi_xconv1fc_head(
    dim_in: int, resolution: tuple[int, int], cfg: CfgNode = cfg
) -> RoiXconv1fcHead:
    """Return the head for pooled RoIs of ``dim_in`` channels and ``resolution`` cells."""
    fast = cfg.FAST_RCNN
    return RoiXconv1fcHead(
        dim_in,
        resolution,
        num_convs=fast.NUM_STACKED_CONVS,
        conv_dim=fast.CONV_HEAD_DIM,
        dim=fast.MLP_HEAD_DIM,
        norm=fast.NORM,
    )
