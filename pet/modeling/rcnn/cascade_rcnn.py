"""The Cascade R-CNN branch (Cai and Vasconcelos 2018): each stage refines the boxes of the last.

N images, R RoIs over all images, K classes without the background.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from pet.config import CfgNode, cfg
from pet.layers.roi_pooler import RoIPooler
from pet.modeling import registry
from pet.modeling.postprocessing import DetectionRule, build_detection_rule, select_detections
from pet.modeling.rcnn.fast_rcnn import BoxPredictor, FastRCNN
from pet.modeling.rcnn.roi_poolers import build_box_pooler
from pet.modeling.rcnn.roi_sampling import RoISamplingRule, SampledRoIs, match_rois
from pet.ops.boxes import clip_boxes
from pet.ops.gradients import scale_gradient
from pet.structures import Detections, Targets


class StagePooler(nn.Module):
    """Pools RoIs for one of several stages, which together weigh as one on the features."""

    def __init__(self, pooler: RoIPooler, num_stages: int) -> None:
        super().__init__()
        self.pooler = pooler
        self.num_stages = num_stages

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Return what the pooler does; its gradient is divided by the stages (Detectron2)."""
        return scale_gradient(self.pooler(features, boxes), 1 / self.num_stages)


class CascadeRCNN(nn.Module):
    """Fast R-CNN branches in a row; takes the place of one.

    Each stage is given the boxes that the stage before moved, clipped to the image, and is trained
    to a higher IoU. A score is the mean of the stages' scores.
    """

    def __init__(self, stages: Sequence[FastRCNN], weights: Sequence[float]) -> None:
        """Build the branch of ``stages``, which move a box alike for all classes.

        ``weights`` are the factors on the losses of each.
        """
        super().__init__()
        # nn.ModuleList, for a type checker, is a list of any modules.
        self.stages = cast(list[FastRCNN], nn.ModuleList(stages))
        self.weights = tuple(weights)

    @property
    def detection_rule(self) -> DetectionRule:
        """Which boxes become detections, behind the last stage."""
        return self.stages[-1].detection_rule

    @property
    def sampling_rule(self) -> RoISamplingRule:
        """How the first stage's RoIs are sampled; later ones see the same, moved."""
        return self.stages[0].sampling_rule

    def losses(
        self, features: Sequence[Tensor], rois: Sequence[SampledRoIs], targets: Sequence[Targets]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the losses and metrics of a Fast R-CNN branch for each stage, as NAME_stage1."""
        losses: dict[str, Tensor] = {}
        metrics: dict[str, Tensor] = {}
        sizes = [target.size for target in targets]
        for number, (stage, weight) in enumerate(zip(self.stages, self.weights, strict=True), 1):
            boxes = [per_image.boxes for per_image in rois]
            logits, deltas = stage(features, boxes)
            stage_losses, stage_metrics = stage.losses_of(logits, deltas, rois, targets)
            losses |= {f"{name}_stage{number}": v * weight for name, v in stage_losses.items()}
            metrics |= {f"{name}_stage{number}": v for name, v in stage_metrics.items()}
            if number < len(self.stages):
                moved = moved_boxes(stage, deltas.detach(), boxes, sizes)
                # All of them, matched anew and not sampled again.
                rois = match_rois(moved, targets, self.stages[number].sampling_rule.fg_iou)
        return losses, metrics

    def detect(
        self,
        features: Sequence[Tensor],
        proposals: Sequence[Tensor],
        sizes: Sequence[tuple[int, int]],
    ) -> list[Detections]:
        """Return the detections of each image, in pixels of the network input."""
        boxes, probs = list(proposals), []
        for stage in self.stages:
            logits, deltas = stage(features, boxes)
            probs.append(logits.softmax(dim=1))
            boxes = moved_boxes(stage, deltas, boxes, sizes)
        scores = torch.stack(probs).mean(dim=0).split([len(per_image) for per_image in boxes])
        return [
            select_detections(b[:, None], s, size, self.detection_rule)
            for b, s, size in zip(boxes, scores, sizes, strict=True)
        ]


def moved_boxes(
    stage: FastRCNN, deltas: Tensor, boxes: Sequence[Tensor], sizes: Sequence[tuple[int, int]]
) -> list[Tensor]:
    """Return ``boxes``, N x (R_n, 4), moved by ``deltas`` (R, 1, 4) and clipped to the images.

    ``sizes`` N (height, width).
    """
    return [
        clip_boxes(moved[:, 0], size)
        for moved, size in zip(stage.decode(deltas, boxes), sizes, strict=True)
    ]


def build_cascade_rcnn(
    dim_in: int, spatial_scale: Sequence[float], num_classes: int, cfg: CfgNode = cfg
) -> CascadeRCNN:
    """Return the branch for features of ``dim_in`` channels at the levels ``spatial_scale``."""
    fast, cascade = cfg.FAST_RCNN, cfg.CASCADE_RCNN
    num_stages = len(cascade.FG_IOU_THRESHOLD)
    pooler = StagePooler(build_box_pooler(spatial_scale, cfg), num_stages)
    stages = []
    for iou, weights in zip(cascade.FG_IOU_THRESHOLD, cascade.BBOX_REG_WEIGHTS, strict=True):
        head = registry.ROI_BOX_HEADS[fast.ROI_BOX_HEAD](
            dim_in, tuple(fast.ROI_XFORM_RESOLUTION), cfg
        )
        stages.append(
            FastRCNN(
                pooler,
                head,
                BoxPredictor(head.dim_out, num_classes, class_agnostic=True),
                RoISamplingRule(
                    fg_iou=iou,
                    bg_iou=iou,
                    batch_size=fast.BATCH_SIZE_PER_IMAGE,
                    positive_fraction=fast.POSITIVE_FRACTION,
                ),
                build_detection_rule(cfg),
                tuple(weights),
                fast.SMOOTH_L1_BETA,
            )
        )
    return CascadeRCNN(stages, cascade.STAGE_WEIGHTS)
