"""The region proposal network (Ren et al. 2015).

N images, A anchors of a pixel, A_l anchors of level l, A_all of all levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pet.config import CfgNode, cfg
from pet.layers.conv import ConvNorm
from pet.modeling.anchors import AnchorGenerator
from pet.modeling.matcher import match_boxes
from pet.modeling.rcnn.proposals import (
    RPN_BOX_WEIGHTS,
    ProposalRule,
    select_proposals,
    select_scored_proposals,
)
from pet.modeling.sampler import sample_balanced
from pet.ops.boxes import encode_boxes
from pet.ops.losses import smooth_l1_sum
from pet.ops.precision import full_precision
from pet.structures import Detections, Targets


@dataclass(frozen=True)
class RPNLossRule:
    """Which anchors the loss sees, and how."""

    fg_iou: float  # foreground from this IoU on
    bg_iou: float  # background below this IoU
    batch_size: int  # anchors of an image
    positive_fraction: float  # largest part of foreground among them
    smooth_l1_beta: float  # where the box loss turns linear; 0 is L1
    per_sampled: bool = False  # whether losses are divided by the sampled anchors, not batch_size


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
        logits, deltas = self.head(features)
        anchors = self.anchors(features)
        rule = self.train_rule if self.training else self.test_rule
        proposals = select_proposals(logits, deltas, anchors, sizes, rule)
        if targets is None:
            return proposals, {}
        return proposals, self._losses_of(logits, deltas, anchors, targets)

    def losses(self, features: Sequence[Tensor], targets: Sequence[Targets]) -> dict[str, Tensor]:
        """Return the losses alone: what trains a model without RoI heads."""
        logits, deltas = self.head(features)
        return self._losses_of(logits, deltas, self.anchors(features), targets)

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

    def _losses_of(
        self,
        logits: Sequence[Tensor],
        deltas: Sequence[Tensor],
        anchors: Sequence[Tensor],
        targets: Sequence[Targets],
    ) -> dict[str, Tensor]:
        return rpn_losses(
            torch.cat(list(logits), dim=1),
            torch.cat(list(deltas), dim=1),
            torch.cat(list(anchors)),
            targets,
            self.loss_rule,
        )


def rpn_losses(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    targets: Sequence[Targets],
    rule: RPNLossRule,
) -> dict[str, Tensor]:
    """Return loss_objectness and loss_rpn_box_reg, over N * batch_size or the sampled anchors.

    ``logits`` (N, A_all), ``deltas`` (N, A_all, 4), ``anchors`` (A_all, 4). Objectness is a binary
    cross-entropy; boxes are a smooth L1 of the deltas of the foreground.
    """
    # Only what has to be is done image by image: on a GPU, starting small steps is what takes time.
    sampled, foreground, gt_boxes = [], [], []
    for target in targets:
        matched, labels = match_boxes(
            target.boxes, anchors, rule.fg_iou, rule.bg_iou, allow_low_quality=True
        )
        chosen = sample_balanced(labels, rule.batch_size, rule.positive_fraction)
        sampled.append(torch.cat(chosen))
        foreground.append(chosen[0])
        gt_boxes.append(target.boxes[matched[chosen[0]]])
    logit, delta = full_precision(_of_images(logits, sampled)), _of_images(deltas, foreground)
    wanted = [  # the foreground comes first
        torch.arange(len(index), device=logit.device) < len(first)
        for index, first in zip(sampled, foreground, strict=True)
    ]
    objectness = F.binary_cross_entropy_with_logits(
        logit, torch.cat(wanted).to(logit.dtype), reduction="sum"
    )
    wanted_delta = encode_boxes(
        torch.cat(gt_boxes), anchors[torch.cat(foreground)], RPN_BOX_WEIGHTS
    )
    box_reg = smooth_l1_sum(full_precision(delta), wanted_delta, rule.smooth_l1_beta)
    count = max(len(logit) if rule.per_sampled else rule.batch_size * len(targets), 1)
    return {"loss_objectness": objectness / count, "loss_rpn_box_reg": box_reg / count}


def _of_images(values: Tensor, index: Sequence[Tensor]) -> Tensor:
    """Return those of ``values`` (N, A, ...) that the ``index`` (n,) of each image chooses."""
    count = values.shape[1]
    return values.flatten(0, 1)[torch.cat([i + n * count for n, i in enumerate(index)])]


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
