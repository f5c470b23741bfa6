"""The head of RetinaNet (Lin et al. 2017, figure 3): two towers, shared by all levels."""

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from pet.layers.conv import ConvNorm


class RetinaNetHead(nn.Module):
    """A tower of 3x3 convolutions for the classes of each anchor, and another for its box.

    The classes are K independent outputs.
    """

    def __init__(
        self,
        dim_in: int,
        *,
        num_anchors: int,
        num_classes: int,
        num_convs: int = 4,
        norm: str = "none",
        prior_prob: float = 0.01,
    ) -> None:
        """Build the head.

        ``num_anchors`` of a pixel; ``num_classes`` K, the outputs of an anchor; ``num_convs`` of
        each tower, with ``norm`` "none" or "gn" behind each; ``prior_prob`` the first score of all.
        """
        super().__init__()
        self.num_classes = num_classes
        self.cls_convs = nn.ModuleList(
            [ConvNorm(dim_in, dim_in, 3, norm) for _ in range(num_convs)]
        )
        self.bbox_convs = nn.ModuleList(
            [ConvNorm(dim_in, dim_in, 3, norm) for _ in range(num_convs)]
        )
        self.cls_logits = nn.Conv2d(dim_in, num_anchors * num_classes, 3, padding=1)
        self.bbox_pred = nn.Conv2d(dim_in, num_anchors * 4, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        # So that the many anchors of the background do not drown the loss of the first steps.
        assert self.cls_logits.bias is not None
        nn.init.constant_(self.cls_logits.bias, -math.log((1 - prior_prob) / prior_prob))

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Map maps (N, C, H, W) to logits (N, H * W * A, K) and deltas (N, H * W * A, 4)."""
        logits, deltas = [], []
        for feature in features:
            logit = self.cls_logits(_through(self.cls_convs, feature))
            delta = self.bbox_pred(_through(self.bbox_convs, feature))
            logits.append(_per_anchor(logit, self.num_classes))
            deltas.append(_per_anchor(delta, 4))
        return logits, deltas


def _through(tower: nn.ModuleList, x: Tensor) -> Tensor:
    for conv in tower:
        x = F.relu(conv(x), inplace=True)
    return x


def _per_anchor(x: Tensor, outputs: int) -> Tensor:
    """Map (N, A * outputs, H, W) to (N, H * W * A, outputs)."""
    return x.permute(0, 2, 3, 1).reshape(len(x), -1, outputs)
