"""The region proposal network (Ren et al. 2015).

N images, A anchors of a pixel, A_l anchors of level l, A_all of all levels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.conv import ConvNorm
from pet.modeling.anchors import AnchorGenerator
from pet.modeling.rcnn.proposals import (
    ProposalRule,
    select_proposals,
    select_scored_proposals,
)
from pet.modeling.rcnn.rpn_loss import RPNLossRule, rpn_losses, sample_anchors
from pet.ops.surroundings import surroundings
from pet.structures import Detections, Targets


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

    def at(
        self, features: Sequence[Tensor], image: Tensor, anchor: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the logits (S,) and deltas (S, 4) of some anchors, from what the maps hold there.

        ``image`` (S,) and ``anchor`` (S,) int64, an index into the image's anchors of all levels.
        """
        num_anchors = self.cls_logits.out_channels
        *convs, last = self.convs
        hidden, on_map = surroundings(features, image, anchor // num_anchors, len(self.convs))
        for conv in convs:
            on_map = on_map[..., 1:-1, 1:-1]
            # As where the whole map is convolved, there is nothing beyond its border.
            hidden = F.relu(F.conv2d(hidden, *_weight_and_bias(conv))).masked_fill(~on_map, 0)
        # What is left is 3x3, and a matrix product takes a tenth of the time of a convolution.
        weight, bias = _weight_and_bias(last)
        squares = hidden.permute(0, 2, 3, 1).flatten(1)
        hidden = F.relu(F.linear(squares, weight.permute(0, 2, 3, 1).flatten(1), bias))
        logits = F.linear(hidden, self.cls_logits.weight.flatten(1), self.cls_logits.bias)
        deltas = F.linear(hidden, self.bbox_pred.weight.flatten(1), self.bbox_pred.bias)
        of_pixel = torch.arange(len(anchor), device=anchor.device), anchor % num_anchors
        return logits[of_pixel], deltas.unflatten(1, (num_anchors, 4))[of_pixel]

    def is_faster_at(self, features: Sequence[Tensor], count: int) -> bool:
        """Whether ``at`` for ``count`` anchors takes less than gradients of the whole maps."""
        read = count * (2 * len(self.convs) + 1) ** 2
        return read <= sum(feature[:, 0].numel() for feature in features)


def _weight_and_bias(conv: nn.Module) -> tuple[Tensor, Tensor | None]:
    assert isinstance(conv, ConvNorm) and conv.norm is None
    return conv.weight, conv.bias


class RPN(nn.Module):
    """Proposals from every level of the features, and the loss that trains them."""

    def __init__(
        self,
        head: RPNHead,
        anchors: AnchorGenerator,
        train_rule: ProposalRule,
        test_rule: ProposalRule,
        loss_rule: RPNLossRule,
    ) -> None:
        super().__init__()
        self.head = head
        self.anchors = anchors
        self.train_rule, self.test_rule = train_rule, test_rule
        self.loss_rule = loss_rule

    def forward(
        self,
        features: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
        targets: Sequence[Targets] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return the proposals of each image, (n, 4) xyxy, and, given ``targets``, the losses.

        ``features`` (N, C, H_l, W_l) of each level; ``sizes`` N (height, width) of the images.
        """
        anchors = self.anchors(features)
        losses: dict[str, Tensor] = {}
        if targets is None:
            logits, deltas = self.head(features)
        else:
            # First the losses, as nothing there waits for the device.
            losses, outputs = self._losses(features, anchors, targets)
            if outputs is None:
                with torch.no_grad():
                    outputs = self.head(features)
                # Weights that autocast has converted here have no gradients, and it would give
                # them to others.
                torch.clear_autocast_cache()
            logits, deltas = outputs
        rule = self.train_rule if self.training else self.test_rule
        return select_proposals(logits, deltas, anchors, sizes, rule), losses

    def losses(self, features: Sequence[Tensor], targets: Sequence[Targets]) -> dict[str, Tensor]:
        """Return the losses alone: what trains a model without RoI heads."""
        return self._losses(features, self.anchors(features), targets)[0]

    def detect(
        self, features: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """Return the proposals of each image as detections: label 1, objectness for a score."""
        logits, deltas = self.head(features)
        anchors = self.anchors(features)
        found = select_scored_proposals(logits, deltas, anchors, sizes, self.test_rule)
        return [
            Detections(boxes, score.sigmoid(), torch.ones_like(score, dtype=torch.long), size)
            for (boxes, score), size in zip(found, sizes, strict=True)
        ]

    def _losses(
        self, features: Sequence[Tensor], anchors: Sequence[Tensor], targets: Sequence[Targets]
    ) -> tuple[dict[str, Tensor], tuple[list[Tensor], list[Tensor]] | None]:
        """Return the losses, and what the head says of all anchors where it had to be asked.

        The losses see a few hundred anchors of an image. What the head says of those depends on few
        pixels, so that the gradients of whole maps, nearly all zeros, need not be computed.
        """
        sample = sample_anchors(torch.cat(list(anchors)), targets, self.loss_rule)
        place = sample.image, sample.anchor
        if self.head.is_faster_at(features, len(sample.anchor)):
            return rpn_losses(*self.head.at(features, *place), sample, self.loss_rule), None
        logits, deltas = self.head(features)
        seen = torch.cat(logits, dim=1)[place], torch.cat(deltas, dim=1)[place]
        return rpn_losses(*seen, sample, self.loss_rule), (logits, deltas)


def build_rpn(dim_in: int, cfg: CfgNode = cfg) -> RPN:
    """Return the RPN for features of ``dim_in`` channels at ``RPN.ANCHOR_STRIDE``."""
    rpn = cfg.RPN
    if len(rpn.ANCHOR_STRIDE) > 1:
        sizes = [(size,) for size in rpn.ANCHOR_SIZES]
    else:
        sizes = [tuple(rpn.ANCHOR_SIZES)]
    anchors = AnchorGenerator(
        sizes,
        rpn.ASPECT_RATIOS,
        rpn.ANCHOR_STRIDE,
        rpn.ANCHOR_ROUNDED,
        rpn.ANCHOR_STEP_FROM_SIZE,
    )
    return RPN(
        RPNHead(dim_in, anchors.num_per_pixel, rpn.NUM_CONVS),
        anchors,
        ProposalRule(
            rpn.PRE_NMS_TOP_N_TRAIN, rpn.POST_NMS_TOP_N_TRAIN, rpn.NMS_THRESH, rpn.MIN_SIZE
        ),
        ProposalRule(rpn.PRE_NMS_TOP_N_TEST, rpn.POST_NMS_TOP_N_TEST, rpn.NMS_THRESH, rpn.MIN_SIZE),
        RPNLossRule(
            rpn.FG_IOU_THRESHOLD,
            rpn.BG_IOU_THRESHOLD,
            rpn.BATCH_SIZE_PER_IMAGE,
            rpn.POSITIVE_FRACTION,
            rpn.SMOOTH_L1_BETA,
            rpn.LOSS_NORMALIZER == "sampled",
        ),
    )
