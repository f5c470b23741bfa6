"""The Fast R-CNN branch (Girshick 2015): class and box of every RoI.

N images, R RoIs over all images, K classes without the background.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pet.config import CfgNode, cfg
from pet.layers.roi_pooler import LevelRule, RoIPooler
from pet.modeling import registry
from pet.modeling.rcnn.roi_sampling import RoISamplingRule, SampledRoIs
from pet.ops.boxes import clip_boxes, decode_boxes, encode_boxes, smallest_side
from pet.ops.losses import accuracy, cross_entropy_mean, smooth_l1_sum
from pet.ops.nms import nms_by_group
from pet.ops.precision import full_precision
from pet.structures import Detections, Targets

BoxWeights = tuple[float, float, float, float]


@dataclass(frozen=True)
class DetectionRule:
    """Which scored boxes become detections."""

    score_thresh: float  # a detection scores above this
    nms_thresh: float  # IoU above which the lower-scored box of a class goes
    max_per_image: int  # most detections of an image
    min_size: float = 0.0  # least side, in pixels of the network input


class BoxPredictor(nn.Module):
    """Class logits, and box deltas for each class, from the features of an RoI."""

    def __init__(self, dim_in: int, num_classes: int) -> None:
        """``num_classes`` counts the background."""
        super().__init__()
        self.cls_score = nn.Linear(dim_in, num_classes)
        self.bbox_pred = nn.Linear(dim_in, num_classes * 4)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        for layer in (self.cls_score, self.bbox_pred):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (R, dim_in) to logits (R, K + 1) and deltas (R, K + 1, 4)."""
        return self.cls_score(x), self.bbox_pred(x).unflatten(1, (-1, 4))


class FastRCNN(nn.Module):
    """Pools RoIs, predicts class and box; its two ends are ``losses`` and ``detect``."""

    def __init__(
        self,
        pooler: RoIPooler,
        head: nn.Module,
        predictor: BoxPredictor,
        sampling_rule: RoISamplingRule,
        detection_rule: DetectionRule,
        box_weights: BoxWeights,
        smooth_l1_beta: float,
    ) -> None:
        super().__init__()
        self.pooler = pooler
        self.head = head
        self.predictor = predictor
        self.sampling_rule, self.detection_rule = sampling_rule, detection_rule
        self.box_weights, self.smooth_l1_beta = box_weights, smooth_l1_beta

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return logits (R, K + 1) and deltas (R, K + 1, 4) for ``boxes``, N x (R_n, 4)."""
        logits, deltas = self.predictor(self.head(self.pooler(features, boxes)))
        return full_precision(logits), full_precision(deltas)

    def losses(
        self, features: Sequence[Tensor], rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the losses loss_classifier and loss_box_reg, and the metric accuracy_classifier.

        The box loss is summed over the foreground and divided by all sampled RoIs.
        """
        logits, deltas = self(features, [per_image.boxes for per_image in rois])
        labels = torch.cat([per_image.labels for per_image in rois])
        gt_boxes = [t.boxes[per_image.matched] for t, per_image in zip(targets, rois, strict=True)]
        boxes = torch.cat([per_image.foreground_boxes for per_image in rois])
        wanted = encode_boxes(torch.cat(gt_boxes), boxes, self.box_weights)
        box_reg = smooth_l1_sum(_foreground_deltas(deltas, rois), wanted, self.smooth_l1_beta)
        losses = {
            "loss_classifier": cross_entropy_mean(logits, labels),
            "loss_box_reg": box_reg / max(len(labels), 1),
        }
        return losses, {"accuracy_classifier": accuracy(logits, labels)}

    def detect(
        self,
        features: Sequence[Tensor],
        proposals: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
    ) -> list[Detections]:
        """Return the detections of each image, in pixels of the network input."""
        logits, deltas = self(features, proposals)
        boxes = decode_boxes(deltas, torch.cat(list(proposals))[:, None], self.box_weights)
        counts = [len(per_image) for per_image in proposals]
        scores = logits.softmax(dim=1)
        return [
            select_detections(b, s, size, self.detection_rule)
            for b, s, size in zip(boxes.split(counts), scores.split(counts), sizes, strict=True)
        ]


def _foreground_deltas(deltas: Tensor, rois: Sequence[SampledRoIs]) -> Tensor:
    """Return the deltas (F, 4) of the foreground for its own classes, of ``deltas`` (R, K + 1, 4).

    Goes by the counts of the images; searching the labels would wait for the device.
    """
    split = deltas.split([len(per_image.labels) for per_image in rois])
    foreground = [d[: per_image.num_foreground] for d, per_image in zip(split, rois, strict=True)]
    labels = torch.cat([per_image.foreground_labels for per_image in rois])
    return torch.cat(foreground)[torch.arange(len(labels), device=labels.device), labels]


def select_detections(
    boxes: Tensor, scores: Tensor, size: tuple[int, int], rule: DetectionRule
) -> Detections:
    """Turn the scored boxes of one image into detections, best first.

    ``boxes`` (R, K + 1, 4) and ``scores`` (R, K + 1) of every class, the background first;
    ``size`` (height, width) of the image, to which boxes are clipped. One that is empty then is
    still there, and may be in the way of others, where ``rule.min_size`` is 0.
    """
    boxes = clip_boxes(boxes, size)
    candidate = (scores > rule.score_thresh) & (smallest_side(boxes) >= rule.min_size)
    candidate[:, 0] = False
    roi, label = torch.nonzero(candidate, as_tuple=True)
    boxes, scores = boxes[roi, label], scores[roi, label]
    keep = nms_by_group(boxes, scores, label, rule.nms_thresh)[: rule.max_per_image]
    return Detections(boxes[keep], scores[keep], label[keep], size)


def build_fast_rcnn(
    dim_in: int, spatial_scale: Sequence[float], num_classes: int, cfg: CfgNode = cfg
) -> FastRCNN:
    """Return the branch for features of ``dim_in`` channels at the levels ``spatial_scale``."""
    fast = cfg.FAST_RCNN
    resolution = tuple(fast.ROI_XFORM_RESOLUTION)
    head = registry.ROI_BOX_HEADS[fast.ROI_BOX_HEAD](dim_in, resolution, cfg)
    return FastRCNN(
        RoIPooler(
            fast.ROI_XFORM_METHOD,
            resolution,
            fast.ROI_XFORM_SAMPLING_RATIO,
            spatial_scale,
            fast.ROI_XFORM_ALIGNED,
            LevelRule(cfg.FPN.ROI_RATIO_EPS, cfg.FPN.ROI_LEVEL_EPS),
        ),
        head,
        BoxPredictor(head.dim_out, num_classes),
        RoISamplingRule(
            fast.FG_IOU_THRESHOLD,
            fast.BG_IOU_THRESHOLD,
            fast.BATCH_SIZE_PER_IMAGE,
            fast.POSITIVE_FRACTION,
        ),
        DetectionRule(fast.SCORE_THRESH, fast.NMS, fast.DETECTIONS_PER_IMG, fast.MIN_SIZE),
        tuple(fast.BBOX_REG_WEIGHTS),
        fast.SMOOTH_L1_BETA,
    )
