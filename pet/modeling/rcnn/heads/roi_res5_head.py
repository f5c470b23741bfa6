"""The box head of models on res4 without a pyramid: res5 of the trunk ("C4"; He et al. 2016)."""

from torch import Tensor, nn

from pet.config import CfgNode, cfg
from pet.modeling import registry
from pet.modeling.backbones.resnet import build_res5


class RoiRes5Head(nn.Module):
    """The last stage of a ResNet, then the mean over the cells; ``dim_out`` is its channels."""

    def __init__(self, layer4: nn.Sequential, dim_out: int) -> None:
        """``layer4`` is the stage, by its name in torchvision."""
        super().__init__()
        self.layer4 = layer4
        self.dim_out = dim_out

    def forward(self, x: Tensor) -> Tensor:
        """Map pooled RoIs (R, C, height, width) to (R, dim_out)."""
        return self.mean(self.maps(x))

    def maps(self, x: Tensor) -> Tensor:
        """Map pooled RoIs (R, C, height, width) to res5 (R, dim_out, height / 2, width / 2)."""
        return self.layer4(x)

    def mean(self, maps: Tensor) -> Tensor:
        """Map res5 of RoIs (R, dim_out, h, w) to (R, dim_out)."""
        return maps.mean(dim=(2, 3))


@registry.ROI_BOX_HEADS.register("roi_res5_head")
def roi_res5_head(dim_in: int, resolution: tuple[int, int], cfg: CfgNode = cfg) -> RoiRes5Head:
    """Return the head for RoIs pooled from res4; raises ValueError if the trunk has no res5."""
    return RoiRes5Head(*build_res5(cfg))
