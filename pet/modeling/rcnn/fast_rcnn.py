"""The Fast R-CNN branch (Girshick 2015): class and box of every RoI.

N images, R RoIs over all images, K classes without the background.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pet.config import CfgNode, cfg
from pet.modeling import registry
from pet.modeling.postprocessing import DetectionRule, build_detection_rule, select_detections
from pet.modeling.rcnn.roi_poolers import build_box_pooler
from pet.modeling.rcnn.roi_sampling import RoISamplingRule, SampledRoIs
from pet.ops.boxes import decode_boxes, encode_boxes
from pet.ops.full_precision import full_precision
from pet.ops.losses import accuracy, cross_entropy_mean, smooth_l1_sum
from pet.structures import Detections, Targets

BoxWeights = tuple[float, float, float, float]


class BoxPredictor(nn.Module):
    """Class logits, and box deltas for each class or for all, from the features of an RoI."""

    def __init__(self, dim_in: int, num_classes: int, class_agnostic: bool = False) -> None:
        """``num_classes`` counts the background; ``class_agnostic``: one box for all classes."""
        super().__init__()
        self.cls_score = nn.Linear(dim_in, num_classes)
        self.bbox_pred = nn.Linear(dim_in, 4 if class_agnostic else num_classes * 4)
        nn.init.normal_(self.cls_score.weight, std=0.01)
        nn.init.normal_(self.bbox_pred.weight, std=0.001)
        for layer in (self.cls_score, self.bbox_pred):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (R, dim_in) to logits (R, K + 1) and deltas (R, K + 1, 4), or (R, 1, 4) for all."""
        return self.cls_score(x), self.bbox_pred(x).unflatten(1, (-1, 4))


class FastRCNN(nn.Module):
    """Pools RoIs, predicts class and box; its two ends are ``losses`` and ``detect``."""

    def __init__(
        self,
        pooler: nn.Module,
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
        """Return logits (R, K + 1) and deltas (R, K + 1 or 1, 4) for ``boxes``, N x (R_n, 4)."""
        return self.predict(self.head(self.pooler(features, boxes)))

    def predict(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what ``forward`` does, given what the head puts out, (R, C)."""
        logits, deltas = self.predictor(x)
        return full_precision(logits), full_precision(deltas)

    def losses(
        self, features: Sequence[Tensor], rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the losses loss_classifier and loss_box_reg, and the metric accuracy_classifier.

        The box loss is summed over the foreground and divided by all sampled RoIs.
        """
        logits, deltas = self(features, [per_image.boxes for per_image in rois])
        return self.losses_of(logits, deltas, rois, targets)

    def losses_of(
        self,
        logits: Tensor,
        deltas: Tensor,
        rois: Sequence[SampledRoIs],
        targets: Sequence[Targets],
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return what ``losses`` does, given the predictions for ``rois``."""
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
        boxes = self.decode(deltas, proposals)
        scores = logits.softmax(dim=1).split([len(per_image) for per_image in proposals])
        return [
            select_detections(b, s, size, self.detection_rule)
            for b, s, size in zip(boxes, scores, sizes, strict=True)
        ]

    def decode(self, deltas: Tensor, boxes: Sequence[Tensor]) -> list[Tensor]:
        """Return N x (R_n, K + 1 or 1, 4): ``boxes``, N x (R_n, 4), moved by ``deltas``."""
        moved = decode_boxes(deltas, torch.cat(list(boxes))[:, None], self.box_weights)
        return list(moved.split([len(per_image) for per_image in boxes]))


def _foreground_deltas(deltas: Tensor, rois: Sequence[SampledRoIs]) -> Tensor:
    """Return the deltas (F, 4) of the foreground for its own classes.

    Of ``deltas`` (R, K + 1, 4), or (R, 1, 4) where they do not depend on the class.
    """
    foreground = foreground_of(deltas, rois)
    if deltas.shape[1] == 1:
        return foreground[:, 0]
    labels = torch.cat([per_image.foreground_labels for per_image in rois])
    return foreground[torch.arange(len(labels), device=labels.device), labels]


def foreground_of(values: Tensor, rois: Sequence[SampledRoIs]) -> Tensor:
    """Return those of ``values`` (R, ...) that belong to foreground RoIs, (F, ...).

    Goes by the counts of the images; searching the labels would wait for the device.
    """
    split = values.split([len(per_image.labels) for per_image in rois])
    foreground = [v[: per_image.num_foreground] for v, per_image in zip(split, rois, strict=True)]
    return torch.cat(foreground)


def build_fast_rcnn(
    dim_in: int, spatial_scale: Sequence[float], num_classes: int, cfg: CfgNode = cfg
) -> FastRCNN:
    """Return the branch for features of ``dim_in`` channels at the levels ``spatial_scale``."""
    fast = cfg.FAST_RCNN
    head = registry.ROI_BOX_HEADS[fast.ROI_BOX_HEAD](dim_in, tuple(fast.ROI_XFORM_RESOLUTION), cfg)
    return FastRCNN(
        build_box_pooler(spatial_scale, cfg),
        head,
        BoxPredictor(head.dim_out, num_classes, cfg.MODEL.CLS_AGNOSTIC_BBOX_REG),
        RoISamplingRule(
            fg_iou=fast.FG_IOU_THRESHOLD,
            bg_iou=fast.BG_IOU_THRESHOLD,
            batch_size=fast.BATCH_SIZE_PER_IMAGE,
            positive_fraction=fast.POSITIVE_FRACTION,
        ),
        build_detection_rule(cfg),
        tuple(fast.BBOX_REG_WEIGHTS),
        fast.SMOOTH_L1_BETA,
    )
