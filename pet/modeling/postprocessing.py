"""From scored boxes to the detections of an image: what the families share.

N images, R boxes of an image, K classes without the background.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pet.config import CfgNode, cfg
from pet.ops.boxes import clip_boxes, smallest_side
from pet.ops.nms import nms_by_group
from pet.ops.soft_nms import SoftNMSRule, soft_nms_by_group
from pet.structures import Detections


@dataclass(frozen=True, kw_only=True)
class DetectionRule:
    """Which scored boxes become detections."""

    score_thresh: float  # a detection scores above this
    nms_thresh: float  # IoU above which the lower-scored box of a class goes
    max_per_image: int  # most detections of an image
    min_size: float = 0.0  # least side, in pixels of the network input
    soft_nms: SoftNMSRule | None = None  # None: plain NMS


def select_detections(
    boxes: Tensor, scores: Tensor, size: tuple[int, int], rule: DetectionRule
) -> Detections:
    """Turn the scored boxes of one image into detections, best first.

    ``boxes`` (R, K + 1, 4), or (R, 1, 4) for all classes alike, and ``scores`` (R, K + 1), the
    background first; ``size`` (height, width) of the image, to which boxes are clipped. One that is
    empty then is still there, and may be in the way of others, where ``rule.min_size`` is 0.
    """
    boxes = clip_boxes(boxes, size).expand(-1, scores.shape[1], -1)
    candidate = (scores > rule.score_thresh) & (smallest_side(boxes) >= rule.min_size)
    candidate[:, 0] = False
    roi, label = torch.nonzero(candidate, as_tuple=True)
    boxes, scores = boxes[roi, label], scores[roi, label]
    keep, kept_scores = suppress(boxes, scores, label, rule)
    return Detections(boxes[keep], kept_scores, label[keep], size)


def suppress(
    boxes: Tensor, scores: Tensor, labels: Tensor, rule: DetectionRule
) -> tuple[Tensor, Tensor]:
    """Return the indices (n,) of the boxes that NMS leaves, and their scores (n,), best first.

    ``boxes`` (M, 4) of one image, ``scores`` (M,), ``labels`` (M,); of ``rule`` what NMS is, and
    how many are kept.
    """
    if rule.soft_nms is None:
        keep = nms_by_group(boxes, scores, labels, rule.nms_thresh)[: rule.max_per_image]
        return keep, scores[keep]
    return soft_nms_by_group(
        boxes, scores, labels, rule.nms_thresh, rule.soft_nms, rule.max_per_image
    )


def join_views(found: Sequence[Detections], rule: DetectionRule) -> Detections:
    """Return those of the detections of several views that NMS leaves of all together.

    ``found`` in pixels of one image, a view each; of ``rule`` as in ``suppress``.
    """
    together = Detections.join(found)
    keep, scores = suppress(together.boxes, together.scores, together.labels, rule)
    return replace(together[keep], scores=scores)


def build_detection_rule(cfg: CfgNode = cfg) -> DetectionRule:
    """Return the rule by which scored boxes become detections."""
    fast = cfg.FAST_RCNN
    return DetectionRule(
        score_thresh=fast.SCORE_THRESH,
        nms_thresh=fast.NMS,
        max_per_image=fast.DETECTIONS_PER_IMG,
        min_size=fast.MIN_SIZE,
        soft_nms=build_soft_nms_rule(cfg),
    )


def build_soft_nms_rule(cfg: CfgNode = cfg) -> SoftNMSRule | None:
    """Return the rule of soft-NMS, or None where ``TEST.SOFT_NMS`` is off."""
    soft = cfg.TEST.SOFT_NMS
    if not soft.ENABLED:
        return None
    return SoftNMSRule(method=soft.METHOD, sigma=soft.SIGMA, score_thresh=soft.SCORE_THRESH)
