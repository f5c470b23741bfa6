"""Which proposals of an image the RoI heads are trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pet.modeling.matcher import BACKGROUND, FOREGROUND, match_boxes
from pet.modeling.sampler import sample_balanced
from pet.structures import Targets


@dataclass(frozen=True)
class RoISamplingRule:
    """What counts as foreground, and how many RoIs the losses see."""

    fg_iou: float  # foreground from this IoU on
    bg_iou: float  # background below this IoU
    batch_size: int  # RoIs of an image
    positive_fraction: float  # largest part of foreground among them


@dataclass(frozen=True)
class SampledRoIs:
    """The RoIs of one image that the losses see, foreground first; R RoIs, F foreground."""

    boxes: Tensor  # (R, 4) float32 xyxy, in pixels of the network input
    labels: Tensor  # (R,) int64, 0 for background
    matched: Tensor  # (F,) int64, the ground-truth box of each foreground RoI

    @property
    def num_foreground(self) -> int:
        """Number of foreground RoIs, F."""
        return len(self.matched)

    @property
    def foreground_boxes(self) -> Tensor:
        """Boxes (F, 4) of the foreground RoIs."""
        return self.boxes[: self.num_foreground]

    @property
    def foreground_labels(self) -> Tensor:
        """Labels (F,) of the foreground RoIs, 1..K."""
        return self.labels[: self.num_foreground]


def sample_rois(
    proposals: Sequence[Tensor], targets: Sequence[Targets], rule: RoISamplingRule
) -> list[SampledRoIs]:
    """Sample the RoIs of each image from its proposals (n, 4) and its ground-truth boxes."""
    return [
        _sample_image(boxes, target, rule) for boxes, target in zip(proposals, targets, strict=True)
    ]


def match_rois(boxes: Tensor, target: Targets, fg_iou: float) -> SampledRoIs:
    """Return ``boxes`` (R, 4) of one image as RoIs: all of them, background below ``fg_iou``."""
    matched, labels = match_boxes(target.boxes, boxes, fg_iou, fg_iou)
    foreground = torch.nonzero(labels == FOREGROUND).squeeze(1)
    background = torch.nonzero(labels == BACKGROUND).squeeze(1)
    return _chosen_rois(boxes, target, matched, foreground, background)


def _sample_image(proposals: Tensor, target: Targets, rule: RoISamplingRule) -> SampledRoIs:
    # The ground truth is among the candidates, so that there is foreground from the first step.
    boxes = torch.cat((proposals, target.boxes))
    matched, labels = match_boxes(target.boxes, boxes, rule.fg_iou, rule.bg_iou)
    foreground, background = sample_balanced(labels, rule.batch_size, rule.positive_fraction)
    return _chosen_rois(boxes, target, matched, foreground, background)


def _chosen_rois(
    boxes: Tensor, target: Targets, matched: Tensor, foreground: Tensor, background: Tensor
) -> SampledRoIs:
    """Return those of ``boxes`` that the indices ``foreground`` and ``background`` choose."""
    chosen = matched[foreground]
    return SampledRoIs(
        boxes=boxes[torch.cat((foreground, background))],
        labels=torch.cat((target.labels[chosen], torch.zeros_like(background))),
        matched=chosen,
    )
