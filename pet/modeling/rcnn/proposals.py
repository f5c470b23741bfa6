"""From the RPN's scored, shifted anchors to the proposals of each image.

N images, A_l anchors of level l, T candidates of an image after the cut before NMS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pet.ops.boxes import clip_boxes, decode_boxes, valid_boxes
from pet.ops.full_precision import full_precision
from pet.ops.nms import nms_by_group

RPN_BOX_WEIGHTS = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class ProposalRule:
    """How many proposals are kept, and which."""

    pre_nms_top_n: int  # best-scored boxes of each level and image that enter NMS
    post_nms_top_n: int  # proposals of an image after NMS
    nms_thresh: float  # IoU above which the lower-scored box of a level goes
    min_size: float  # least side, in pixels of the network input


def select_proposals(
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    anchors: Sequence[Tensor],
    sizes: Sequence[tuple[int, int]],
    rule: ProposalRule,
) -> list[Tensor]:
    """Return for each image its proposals (n, 4) xyxy, best score first, n <= post_nms_top_n.

    Per level: ``logits`` (N, A_l), ``deltas`` (N, A_l, 4), ``anchors`` (A_l, 4). ``sizes`` are the
    N (height, width) to which the boxes are clipped. No gradient flows.
    """
    found = select_scored_proposals(logits, deltas, anchors, sizes, rule)
    return [boxes for boxes, _ in found]


def select_scored_proposals(
    logits: Sequence[Tensor],
    deltas: Sequence[Tensor],
    anchors: Sequence[Tensor],
    sizes: Sequence[tuple[int, int]],
    rule: ProposalRule,
) -> list[tuple[Tensor, Tensor]]:
    """Return the proposals (n, 4) that ``select_proposals`` does, and their logits (n,)."""
    scores, boxes, levels = _best_of_levels(logits, deltas, anchors, rule.pre_nms_top_n)
    boxes = torch.stack([clip_boxes(b, size) for b, size in zip(boxes, sizes, strict=True)])
    valid = valid_boxes(boxes, rule.min_size) & torch.isfinite(scores)
    order = torch.argsort(valid.int(), dim=1, descending=True, stable=True)
    found = []
    # Here the device is waited for, once for all images, and then by each NMS.
    for n, count in enumerate(valid.sum(dim=1).tolist()):
        index = order[n, :count]
        some_boxes, some_scores = boxes[n, index], scores[n, index]
        keep = nms_by_group(some_boxes, some_scores, levels[index], rule.nms_thresh)
        keep = keep[: rule.post_nms_top_n]
        found.append((some_boxes[keep], some_scores[keep]))
    return found


def _best_of_levels(
    logits: Sequence[Tensor], deltas: Sequence[Tensor], anchors: Sequence[Tensor], top_n: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores (N, T), decoded boxes (N, T, 4) and level of each candidate (T,)."""
    scores, best_deltas, best_anchors, levels = [], [], [], []
    for level, (logit, delta, anchor) in enumerate(zip(logits, deltas, anchors, strict=True)):
        count = min(top_n, logit.shape[1])
        score, index = full_precision(logit.detach()).topk(count, dim=1)
        scores.append(score)
        best_deltas.append(delta.detach().gather(1, index[..., None].expand(-1, -1, 4)))
        best_anchors.append(anchor[index])
        levels.append(torch.full((count,), level, device=logit.device))
    deltas_of_all = full_precision(torch.cat(best_deltas, dim=1))
    boxes = decode_boxes(deltas_of_all, torch.cat(best_anchors, dim=1), RPN_BOX_WEIGHTS)
    return torch.cat(scores, dim=1), boxes, torch.cat(levels)
