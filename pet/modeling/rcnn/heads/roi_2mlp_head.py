"""The box head of two fully connected layers (FPN, section 4.2)."""

from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.conv import init_conv
from pet.modeling import registry


class Roi2MlpHead(nn.Module):
    """Two fully connected layers with ReLU; ``dim_out`` is their width."""

    def __init__(self, dim_in: int, resolution: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim_in * resolution[0] * resolution[1], dim)
        self.fc2 = nn.Linear(dim, dim)
        for layer in (self.fc1, self.fc2):
            init_conv(layer, gain="linear")
        self.dim_out = dim

    def forward(self, x: Tensor) -> Tensor:
        """Map pooled RoIs (R, C, height, width) to (R, dim_out)."""
        return F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))


@registry.ROI_BOX_HEADS.register("roi_2mlp_head")
def roi_2mlp_head(dim_in: int, resolution: tuple[int, int], cfg: CfgNode = cfg) -> Roi2MlpHead:
    """Return the head for pooled RoIs of ``dim_in`` channels and ``resolution`` cells."""
    return Roi2MlpHead(dim_in, resolution, cfg.FAST_RCNN.MLP_HEAD_DIM)
