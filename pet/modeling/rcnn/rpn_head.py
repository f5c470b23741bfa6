"""The head of the RPN.

N images, A anchors of a pixel.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from pet.layers.conv import ConvNorm


class RPNHead(nn.Module):
    """3x3 convolutions, then objectness and box deltas of each anchor, shared by all levels."""

    def __init__(self, dim_in: int, num_anchors: int, num_convs: int = 1) -> None:
        super().__init__()
        convs = [ConvNorm(dim_in, dim_in, 3) for _ in range(num_convs)]
        self.convs = nn.ModuleList(convs)
        self.cls_logits = nn.Conv2d(dim_in, num_anchors, 1)
        self.bbox_pred = nn.Conv2d(dim_in, num_anchors * 4, 1)
        for layer in (*convs, self.cls_logits, self.bbox_pred):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Map maps (N, C, H, W) to logits (N, H * W * A) and deltas (N, H * W * A, 4) of each."""
        logits, deltas = [], []
        for feature in features:
            hidden = feature
            for conv in self.convs:
                hidden = F.relu(conv(hidden), inplace=True)
            logits.append(self.cls_logits(hidden).permute(0, 2, 3, 1).flatten(1))
            delta = self.bbox_pred(hidden).permute(0, 2, 3, 1)
            deltas.append(delta.reshape(len(delta), -1, 4))
        return logits, deltas
