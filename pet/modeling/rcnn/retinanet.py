"""RetinaNet (Lin et al. 2017): classes and boxes of every anchor, without proposals.

N images, L levels, A_l anchors of level l, A_all of all levels, K outputs of an anchor: one for
each class, and with RETINANET.BACKGROUND_OUTPUT one for label 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pet.config import CfgNode, cfg
from pet.modeling.anchors import AnchorGenerator
from pet.modeling.matcher import FOREGROUND, IGNORED, match_boxes
from pet.modeling.postprocessing import DetectionRule, build_soft_nms_rule, suppress
from pet.modeling.rcnn.heads.retinanet_head import RetinaNetHead
from pet.ops.boxes import clip_boxes, decode_boxes, encode_boxes
from pet.ops.full_precision import full_precision
from pet.ops.losses import giou_sum, sigmoid_focal_sum, smooth_l1_sum
from pet.structures import Detections, Targets

_BOX_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
# For the running average that the losses are divided by. Source: Detectron2.
_MOMENTUM, _FIRST_AVERAGE = 0.9, 100.0


@dataclass(frozen=True, kw_only=True)
class RetinaNetLossRule:
    """Which anchors the losses see, and how."""

    fg_iou: float = 0.5  # foreground from this IoU on
    bg_iou: float = 0.4  # background below this IoU
    focal_alpha: float = 0.25  # weight of the foreground in the focal loss
    focal_gamma: float = 2.0  # exponent of an output's error, its weight in the focal loss
    box_loss: str = "smooth_l1"  # or "giou"
    smooth_l1_beta: float = 0.0  # where smooth_l1 turns linear; 0 is L1
    normalizer: str = "batch"  # or "image" or "average"; see RETINANET.LOSS_NORMALIZER


@dataclass(frozen=True, kw_only=True)
class CandidateRule:
    """Which anchors and classes of a level are candidates for detections."""

    pre_nms_top_n: int  # best-scored pairs of each level and image
    clip_before_nms: bool = True  # whether boxes are clipped to the image before NMS
    drop_empty: bool = True  # whether detections that are empty once clipped are dropped


class RetinaNet(nn.Module):
    """Predicts from every level of the features; its two ends are ``losses`` and ``detect``."""

    loss_average: Tensor

    def __init__(
        self,
        head: RetinaNetHead,
        anchors: AnchorGenerator,
        loss_rule: RetinaNetLossRule,
        candidate_rule: CandidateRule,
        detection_rule: DetectionRule,
        first_label: int = 1,
    ) -> None:
        """``first_label`` is the label of the head's first output of an anchor, 0 or 1."""
        super().__init__()
        self.first_label = first_label
        self.head = head
        self.anchors = anchors
        self.loss_rule = loss_rule
        self.candidate_rule, self.detection_rule = candidate_rule, detection_rule
        if loss_rule.normalizer == "average":
            # A buffer of the state dict, so that a resumed run continues with it.
            self.register_buffer("loss_average", torch.tensor(_FIRST_AVERAGE))

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the logits (N, A_l, K) and the deltas (N, A_l, 4) of each level."""
        return self.head(features)

    def losses(self, features: Sequence[Tensor], targets: Sequence[Targets]) -> dict[str, Tensor]:
        """Return the losses loss_classifier and loss_box_reg."""
        logits, deltas = self(features)
        sums = loss_sums(
            torch.cat(logits, dim=1),
            torch.cat(deltas, dim=1),
            torch.cat(self.anchors(features)),
            targets,
            self.loss_rule,
            self.first_label,
        )
        classifier, box_reg = self._normalized(*sums)
        return {"loss_classifier": classifier, "loss_box_reg": box_reg}

    def _normalized(self, classifier: Tensor, box_reg: Tensor, count: Tensor) -> list[Tensor]:
        """Return the two losses, from the sums and foreground counts (N,) of the images.

        Updates the running average, if there is one.
        """
        if self.loss_rule.normalizer == "image":
            return [(loss / count.clamp(min=1)).mean() for loss in (classifier, box_reg)]
        divisor = count.sum().clamp(min=1)
        if self.loss_rule.normalizer == "average":
            self.loss_average.lerp_(divisor.to(self.loss_average.dtype), 1 - _MOMENTUM)
            divisor = self.loss_average.clone()  # the next step changes it in place
        return [loss.sum() / divisor for loss in (classifier, box_reg)]

    def detect(
        self, features: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """Return the detections of each image, in pixels of the network input.

        ``sizes`` N (height, width) of the images.
        """
        logits, deltas = self(features)
        anchors = self.anchors(features)
        return [
            self._detect_image([x[n] for x in logits], [x[n] for x in deltas], anchors, size)
            for n, size in enumerate(sizes)
        ]

    def _detect_image(
        self,
        logits: Sequence[Tensor],
        deltas: Sequence[Tensor],
        anchors: Sequence[Tensor],
        size: tuple[int, int],
    ) -> Detections:
        """Return the detections of one image, from L logits (A_l, K) and deltas (A_l, 4)."""
        rule, top_n = self.detection_rule, self.candidate_rule.pre_nms_top_n
        first = self.first_label
        levels = [
            best_of_level(logit, delta, anchor, rule.score_thresh, top_n, first)
            for logit, delta, anchor in zip(logits, deltas, anchors, strict=True)
        ]
        boxes, scores, labels = (torch.cat(values) for values in zip(*levels, strict=True))
        if self.candidate_rule.clip_before_nms:
            boxes = clip_boxes(boxes, size)
        keep, kept_scores = suppress(boxes, scores, labels, rule)
        return Detections(
            clip_boxes(boxes[keep], size),
            kept_scores,
            labels[keep],
            size,
            drop_empty=self.candidate_rule.drop_empty,
        )


def best_of_level(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    score_thresh: float,
    top_n: int,
    first_label: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes (n, 4), scores (n,) and labels (n,) of the n <= ``top_n`` best pairs.

    A pair is one of ``anchors`` (A_l, 4) and a class; its score must be above ``score_thresh``.
    ``logits`` (A_l, K), ``deltas`` (A_l, 4). Labels count from ``first_label``.
    """
    scores = full_precision(logits).sigmoid().flatten()
    above = torch.nonzero(scores > score_thresh).squeeze(1)
    scores, best = scores[above].topk(min(top_n, len(above)))
    pair = above[best]
    anchor, label = pair // logits.shape[1], pair % logits.shape[1] + first_label
    boxes = decode_boxes(full_precision(deltas[anchor]), anchors[anchor], _BOX_WEIGHTS)
    return boxes, scores, label


def loss_sums(
    logits: Tensor,
    deltas: Tensor,
    anchors: Tensor,
    targets: Sequence[Targets],
    rule: RetinaNetLossRule,
    first_label: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the focal loss (N,) and the box loss (N,), summed over each image's anchors.

    Also returns the number (N,) of its foreground anchors, for the division. ``logits``
    (N, A_all, K), ``deltas`` (N, A_all, 4), ``anchors`` (A_all, 4); labels of the outputs count
    from ``first_label``.
    """
    classes = torch.arange(logits.shape[2], device=logits.device) + first_label
    classifier, box_reg, counts = [], [], []
    for logit, delta, target in zip(logits, deltas, targets, strict=True):
        matched, kind = match_boxes(
            target.boxes, anchors, rule.fg_iou, rule.bg_iou, allow_low_quality=True
        )
        # Masks over all anchors, as indexing the foreground would wait for the device.
        foreground = kind == FOREGROUND
        if len(target):
            wanted_label, wanted_box = target.labels[matched], target.boxes[matched]
        else:
            wanted_label, wanted_box = torch.zeros_like(matched), anchors
        is_class = foreground[:, None] & (wanted_label[:, None] == classes)
        classifier.append(
            sigmoid_focal_sum(
                full_precision(logit),
                is_class,
                kind != IGNORED,
                rule.focal_alpha,
                rule.focal_gamma,
            )
        )
        box_reg.append(
            _box_loss(
                deltas=full_precision(delta),
                anchors=anchors,
                boxes=wanted_box,
                foreground=foreground,
                rule=rule,
            )
        )
        counts.append(foreground.sum())
    return torch.stack(classifier), torch.stack(box_reg), torch.stack(counts)


def _box_loss(
    *, deltas: Tensor, anchors: Tensor, boxes: Tensor, foreground: Tensor, rule: RetinaNetLossRule
) -> Tensor:
    """Return the summed loss of the ``deltas`` (A, 4) of the ``foreground`` (A,) anchors."""
    if rule.box_loss == "giou":
        return giou_sum(decode_boxes(deltas, anchors, _BOX_WEIGHTS), boxes, foreground)
    wanted = encode_boxes(boxes, anchors, _BOX_WEIGHTS)
    # Elsewhere the two are set equal, so that loss and gradient are zero.
    return smooth_l1_sum(
        deltas, torch.where(foreground[:, None], wanted, deltas.detach()), rule.smooth_l1_beta
    )


def build_retinanet(
    dim_in: int, spatial_scale: Sequence[float], num_classes: int, cfg: CfgNode = cfg
) -> RetinaNet:
    """Return the part that reads a pyramid of ``dim_in`` channels and levels ``spatial_scale``.

    ``num_classes`` counts the background. Raises ValueError if the anchors do not fit the levels.
    """
    retina = cfg.RETINANET
    if len(retina.ANCHOR_SIZES) != len(spatial_scale):
        raise ValueError(
            f"RETINANET.ANCHOR_SIZES {retina.ANCHOR_SIZES} must name one size for each of the "
            f"{len(spatial_scale)} levels of FPN.BODY {cfg.FPN.BODY}"
        )
    anchors = build_retinanet_anchors(spatial_scale, cfg)
    first_label = 0 if retina.BACKGROUND_OUTPUT else 1
    return RetinaNet(
        RetinaNetHead(
            dim_in,
            num_anchors=anchors.num_per_pixel,
            num_classes=num_classes - first_label,
            num_convs=retina.NUM_CONVS,
            norm=retina.NORM,
            prior_prob=retina.PRIOR_PROB,
        ),
        anchors,
        RetinaNetLossRule(
            fg_iou=retina.FG_IOU_THRESHOLD,
            bg_iou=retina.BG_IOU_THRESHOLD,
            focal_alpha=retina.FOCAL_ALPHA,
            focal_gamma=retina.FOCAL_GAMMA,
            box_loss=retina.BOX_LOSS,
            smooth_l1_beta=retina.SMOOTH_L1_BETA,
            normalizer=retina.LOSS_NORMALIZER,
        ),
        CandidateRule(
            pre_nms_top_n=retina.PRE_NMS_TOP_N,
            clip_before_nms=retina.CLIP_BEFORE_NMS,
            drop_empty=retina.DROP_EMPTY,
        ),
        DetectionRule(
            score_thresh=retina.SCORE_THRESH,
            nms_thresh=retina.NMS,
            max_per_image=retina.DETECTIONS_PER_IMG,
            soft_nms=build_soft_nms_rule(cfg),
        ),
        first_label,
    )


def build_retinanet_anchors(spatial_scale: Sequence[float], cfg: CfgNode = cfg) -> AnchorGenerator:
    """Return the anchors of levels ``spatial_scale``, one for each of the ``ANCHOR_SIZES``."""
    retina = cfg.RETINANET
    return AnchorGenerator(
        sizes=[
            _sizes_of_level(size, retina.SCALES_PER_OCTAVE, retina.ANCHOR_SIZE_CUT)
            for size in retina.ANCHOR_SIZES
        ],
        ratios=retina.ASPECT_RATIOS,
        strides=[round(1 / scale) for scale in spatial_scale],
        rounded=retina.ANCHOR_ROUNDED,
        step_from_size=retina.ANCHOR_STEP_FROM_SIZE,
    )


def _sizes_of_level(size: float, count: int, cut: bool) -> list[float]:
    """Return the ``count`` anchor sizes of a level, over the octave from ``size``, in pixels."""
    sizes = [size * 2 ** (n / count) for n in range(count)]
    return [float(int(s)) for s in sizes] if cut else sizes
