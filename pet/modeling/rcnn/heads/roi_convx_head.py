"""The mask and keypoint head of a stack of 3x3 convolutions (Mask R-CNN, figure 4)."""

import itertools

from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.conv import ConvNorm, init_conv
from pet.modeling import registry


class RoiConvxHead(nn.Module):
    """3x3 convolutions with ReLU; ``dim_out`` is their channels."""

    def __init__(self, dim_in: int, num_convs: int, dim: int, norm: str = "none") -> None:
        """``norm`` after each convolution: "none", or as ``make_norm`` takes it."""
        super().__init__()
        dims = [dim_in] + [dim] * num_convs
        convs = [ConvNorm(a, b, 3, norm) for a, b in itertools.pairwise(dims)]
        for conv in convs:
            init_conv(conv)
        self.convs = nn.ModuleList(convs)
        self.dim_out = dims[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Map pooled RoIs (R, C, height, width) to (R, dim_out, height, width)."""
        for conv in self.convs:
            x = F.relu(conv(x), inplace=True)
        return x


@registry.ROI_MASK_HEADS.register("roi_convx_head")
def roi_convx_head(dim_in: int, cfg: CfgNode = cfg) -> RoiConvxHead:
    """Return the head for pooled RoIs of ``dim_in`` channels."""
    mask = cfg.MRCNN
    return RoiConvxHead(dim_in, mask.NUM_CONVS, mask.CONV_DIM, mask.NORM)


@registry.ROI_KEYPOINT_HEADS.register("roi_convx_head")
def roi_convx_keypoint_head(dim_in: int, cfg: CfgNode = cfg) -> RoiConvxHead:
    """Return the keypoint head for pooled RoIs of ``dim_in`` channels."""
    keypoint = cfg.KRCNN
    return RoiConvxHead(dim_in, keypoint.NUM_CONVS, keypoint.CONV_DIM, keypoint.NORM)
