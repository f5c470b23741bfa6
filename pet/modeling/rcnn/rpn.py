"""The region proposal network (Ren et al. 2015).

N images, A anchors of a pixel, A_l anchors of level l, A_all of all levels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pet.config import CfgNode, cfg
from pet.modeling.anchors import AnchorGenerator
from pet.modeling.rcnn.proposals import (
    ProposalRule,
    select_proposals,
    select_scored_proposals,
)
from pet.modeling.rcnn.rpn_head import RPNHead
from pet.modeling.rcnn.rpn_head_at_anchors import is_faster_at, predict_at
from pet.modeling.rcnn.rpn_loss import RPNLossRule, rpn_losses, sample_anchors
from pet.structures import Detections, Targets


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
            # Losses first, as nothing in them waits for the device.
            losses, outputs = self._losses(features, anchors, targets)
            if outputs is None:
                with torch.no_grad():
                    outputs = self.head(features)
                # Weights that autocast has converted here have no gradients; its cache would give
                # them to later calls.
                torch.clear_autocast_cache()
            logits, deltas = outputs
        rule = self.train_rule if self.training else self.test_rule
        return select_proposals(logits, deltas, anchors, sizes, rule), losses

    def losses(self, features: Sequence[Tensor], targets: Sequence[Targets]) -> dict[str, Tensor]:
        """Return only the losses, for a model without RoI heads."""
        return self._losses(features, self.anchors(features), targets)[0]

    def detect(
        self, features: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """Return the proposals of each image as detections of label 1, scored by objectness."""
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
        """Return the losses, and the head's outputs for all anchors if they were computed.

        The losses see a few hundred anchors of an image. The outputs for these depend on few
        pixels, so that gradients of whole maps, nearly all zeros, need not be computed.
        """
        sample = sample_anchors(torch.cat(list(anchors)), targets, self.loss_rule)
        place = sample.image, sample.anchor
        if is_faster_at(self.head, features, len(sample.anchor)):
            predicted = predict_at(self.head, features, *place)
            return rpn_losses(*predicted, sample, self.loss_rule), None
        logits, deltas = self.head(features)
        seen = torch.cat(logits, dim=1)[place], torch.cat(deltas, dim=1)[place]
        return rpn_losses(*seen, sample, self.loss_rule), (logits, deltas)


def build_rpn(dim_in: int, cfg: CfgNode = cfg) -> RPN:
    """Return the RPN for features of ``dim_in`` channels at ``RPN.ANCHOR_STRIDE``."""
    rpn = cfg.RPN
    anchors = build_rpn_anchors(cfg)
    return RPN(
        RPNHead(dim_in, anchors.num_per_pixel, rpn.NUM_CONVS),
        anchors,
        ProposalRule(
            pre_nms_top_n=rpn.PRE_NMS_TOP_N_TRAIN,
            post_nms_top_n=rpn.POST_NMS_TOP_N_TRAIN,
            nms_thresh=rpn.NMS_THRESH,
            min_size=rpn.MIN_SIZE,
        ),
        ProposalRule(
            pre_nms_top_n=rpn.PRE_NMS_TOP_N_TEST,
            post_nms_top_n=rpn.POST_NMS_TOP_N_TEST,
            nms_thresh=rpn.NMS_THRESH,
            min_size=rpn.MIN_SIZE,
        ),
        RPNLossRule(
            fg_iou=rpn.FG_IOU_THRESHOLD,
            bg_iou=rpn.BG_IOU_THRESHOLD,
            batch_size=rpn.BATCH_SIZE_PER_IMAGE,
            positive_fraction=rpn.POSITIVE_FRACTION,
            smooth_l1_beta=rpn.SMOOTH_L1_BETA,
            per_sampled=rpn.LOSS_NORMALIZER == "sampled",
        ),
    )


def build_rpn_anchors(cfg: CfgNode = cfg) -> AnchorGenerator:
    """Return the anchors of the levels of ``RPN.ANCHOR_STRIDE``."""
    rpn = cfg.RPN
    if len(rpn.ANCHOR_STRIDE) > 1:
        sizes = [(size,) for size in rpn.ANCHOR_SIZES]
    else:
        sizes = [tuple(rpn.ANCHOR_SIZES)]
    return AnchorGenerator(
        sizes=sizes,
        ratios=rpn.ASPECT_RATIOS,
        strides=rpn.ANCHOR_STRIDE,
        rounded=rpn.ANCHOR_ROUNDED,
        step_from_size=rpn.ANCHOR_STEP_FROM_SIZE,
    )
