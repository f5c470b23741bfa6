"""Which proposals of an image the RoI heads are trained on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pet.modeling.matcher import FOREGROUND, IGNORED, match_boxes
from pet.modeling.sampler import sample_balanced
from pet.ops.boxes import valid_boxes
from pet.structures import Targets


@dataclass(frozen=True, kw_only=True)
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
    candidates = []
    for boxes, target in zip(proposals, targets, strict=True):
        # The ground truth is among them, so that there is foreground from the first step.
        boxes = torch.cat((boxes, target.boxes))
        matched, labels = match_boxes(target.boxes, boxes, rule.fg_iou, rule.bg_iou)
        order = sample_balanced(labels, rule.batch_size, rule.positive_fraction)
        candidates.append(_Candidates(boxes, matched, *order))
    return _chosen_rois(candidates, targets)


def match_rois(
    boxes: Sequence[Tensor], targets: Sequence[Targets], fg_iou: float
) -> list[SampledRoIs]:
    """Return the ``boxes`` (n, 4) of each image as RoIs: all of them but the empty ones.

    They are foreground from ``fg_iou`` on, and else background.
    """
    candidates = []
    for per_image, target in zip(boxes, targets, strict=True):
        matched, labels = match_boxes(target.boxes, per_image, fg_iou, fg_iou)
        labels = labels.masked_fill(~valid_boxes(per_image), IGNORED)
        order = torch.argsort(labels, descending=True, stable=True)
        foreground, chosen = (labels == FOREGROUND).sum(), (labels != IGNORED).sum()
        candidates.append(
            _Candidates(
                boxes=per_image,
                matched=matched,
                order=order,
                num_foreground=foreground,
                num_chosen=chosen,
            )
        )
    return _chosen_rois(candidates, targets)


@dataclass(frozen=True)
class _Candidates:
    """The candidates of an image, and which of them are chosen."""

    boxes: Tensor  # (A, 4)
    matched: Tensor  # (A,) int64, the ground-truth box of each
    order: Tensor  # (S,) int64: the chosen ones, foreground first, and then any
    num_foreground: Tensor  # scalar
    num_chosen: Tensor  # scalar


def _chosen_rois(
    candidates: Sequence[_Candidates], targets: Sequence[Targets]
) -> list[SampledRoIs]:
    counts = [torch.stack((some.num_foreground, some.num_chosen)) for some in candidates]
    rois = []
    # Here the device is waited for, once for all images.
    for some, target, (num_foreground, num_chosen) in zip(
        candidates, targets, torch.stack(counts).tolist(), strict=True
    ):
        matched = some.matched[some.order[:num_foreground]]
        labels = F.pad(target.labels[matched], (0, num_chosen - num_foreground))
        rois.append(SampledRoIs(some.boxes[some.order[:num_chosen]], labels, matched))
    return rois
