"""The losses of the region proposal network, over a random part of the anchors.

N images, A_all anchors of all levels of an image, S anchors of all images that the losses see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pet.modeling.matcher import match_boxes
from pet.modeling.rcnn.proposals import RPN_BOX_WEIGHTS
from pet.modeling.sampler import sample_balanced
from pet.ops.boxes import encode_boxes
from pet.ops.full_precision import full_precision
from pet.ops.losses import smooth_l1_sum
from pet.structures import Targets


@dataclass(frozen=True, kw_only=True)
class RPNLossRule:
    """Which anchors the loss sees, and how."""

    fg_iou: float  # foreground from this IoU on
    bg_iou: float  # background below this IoU
    batch_size: int  # anchors of an image
    positive_fraction: float  # largest part of foreground among them
    smooth_l1_beta: float  # where the box loss turns linear; 0 is L1
    per_sampled: bool = False  # whether losses are divided by the sampled anchors, not batch_size


@dataclass(frozen=True)
class AnchorSample:
    """The S anchors, of all images, that the losses see."""

    image: Tensor  # (S,) int64
    anchor: Tensor  # (S,) int64, of all levels of the image
    foreground: Tensor  # (S,) bool
    chosen: Tensor  # (S,) bool, False where an image has too few anchors to choose from
    delta: Tensor  # (S, 4) that the box loss wants, 0 for what is not foreground
    num_images: int


def sample_anchors(anchors: Tensor, targets: Sequence[Targets], rule: RPNLossRule) -> AnchorSample:
    """Match ``anchors`` (A_all, 4) to the boxes of each image, and draw some as ``rule`` says."""
    drawn, gt_boxes = [], []
    for target in targets:
        matched, labels = match_boxes(
            target.boxes, anchors, rule.fg_iou, rule.bg_iou, allow_low_quality=True
        )
        index, num_foreground, num_chosen = sample_balanced(
            labels, rule.batch_size, rule.positive_fraction
        )
        place = torch.arange(len(index), device=index.device)
        drawn.append((index, place < num_foreground, place < num_chosen))
        # One box more, so that there is something to take where an image has none.
        gt_boxes.append(F.pad(target.boxes, (0, 0, 0, 1))[matched[index]])
    # Only what has to be is done image by image: on a GPU, starting small steps is what takes time.
    index, foreground, chosen = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    delta = encode_boxes(torch.cat(gt_boxes), anchors[index], RPN_BOX_WEIGHTS)
    image = torch.arange(len(targets), device=index.device)
    return AnchorSample(
        image=image.repeat_interleave(len(index) // len(targets)),
        anchor=index,
        foreground=foreground,
        chosen=chosen,
        delta=delta.masked_fill(~foreground[:, None], 0),
        num_images=len(targets),
    )


def rpn_losses(
    logit: Tensor, delta: Tensor, sample: AnchorSample, rule: RPNLossRule
) -> dict[str, Tensor]:
    """Return loss_objectness and loss_rpn_box_reg, over N * batch_size or the sampled anchors.

    ``logit`` (S,) and ``delta`` (S, 4) of the anchors of ``sample``. Objectness is a binary
    cross-entropy; boxes are a smooth L1 of the deltas of the foreground.
    """
    # Of what is not chosen nothing counts, and a logit that is no number neither.
    logit = full_precision(logit).masked_fill(~sample.chosen, 0)
    objectness = F.binary_cross_entropy_with_logits(
        logit, sample.foreground.to(logit.dtype), sample.chosen.to(logit.dtype), reduction="sum"
    )
    of_foreground = full_precision(delta).masked_fill(~sample.foreground[:, None], 0)
    box_reg = smooth_l1_sum(of_foreground, sample.delta, rule.smooth_l1_beta)
    count: Tensor | int = rule.batch_size * sample.num_images
    if rule.per_sampled:
        count = sample.chosen.sum().clamp(min=1)
    return {"loss_objectness": objectness / count, "loss_rpn_box_reg": box_reg / count}
