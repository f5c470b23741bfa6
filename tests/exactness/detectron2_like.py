"""What Detectron2's R-CNN models with FPN compute at inference, in plain torch and not from Pet.

Written from the facts of Detectron2's sources, to be a second opinion on Pet: nothing here imports
``pet``. A model is its state dict alone, with Detectron2's names. Nothing is fused, folded or
batched: one image, a convolution and then its norm, boxes as xyxy, the background's logit last.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.ops import batched_nms, roi_align

from tests.exactness.detectron2_like_trunk import State, conv, fpn, resnet

STRIDES = (4, 8, 16, 32, 64)
ANCHOR_SIZES = (32, 64, 128, 256, 512)
ASPECT_RATIOS = (0.5, 1.0, 2.0)
LARGEST_DELTA = math.log(1000 / 16)


@dataclass(frozen=True)
class Setting:
    """The few values in which the published models and the tests differ."""

    short_side: int = 800
    longest_side: int = 1333
    mean: Sequence[float] = (103.53, 116.28, 123.675)
    std: Sequence[float] = (1.0, 1.0, 1.0)
    stride_in_1x1: bool = True
    score_thresh: float = 0.05
    max_detections: int = 100


def detect(state: State, image: np.ndarray, setting: Setting) -> dict[str, torch.Tensor]:
    """Return ``boxes``, ``scores``, ``classes`` and perhaps ``masks`` of a BGR uint8 image.

    The boxes and the masks are those of the image as given. Classes count from 0.
    """
    x, size = preprocess(image, setting)
    maps = fpn(state, resnet(state, x, setting.stride_in_1x1))
    proposals = rpn(state, maps, size)
    heads = cascade_heads if "roi_heads.box_predictor.0.cls_score.weight" in state else roi_heads
    boxes, scores, classes = heads(state, maps, proposals, size, setting)
    found = {"boxes": boxes, "scores": scores, "classes": classes}
    if "roi_heads.mask_head.predictor.weight" in state:
        logits = mask_logits(state, maps, boxes)
        found["masks"] = logits[torch.arange(len(classes)), classes].sigmoid()
    return in_image(found, size, image.shape[:2])


def in_image(
    found: dict[str, torch.Tensor], size: tuple[int, int], image_size: tuple[int, int]
) -> dict[str, torch.Tensor]:
    """Return what was found in the network input, where the image has ``size``, in the image."""
    height, width = image_size
    scale_y, scale_x = height / size[0], width / size[1]
    boxes = found["boxes"] * found["boxes"].new_tensor([scale_x, scale_y] * 2)
    boxes = clip(boxes, (height, width))
    kept = is_nonempty(boxes)
    found = {name: values[kept] for name, values in {**found, "boxes": boxes}.items()}
    if "masks" in found:
        found["masks"] = paste(found["masks"], found["boxes"], height, width)
    return found


# The image ---------------------------------------------------------------------------------------


def resized_size(height: int, width: int, short_side: int, longest_side: int) -> tuple[int, int]:
    """Return the (height, width) to which an image is resized; halves go up."""
    scale = short_side / min(height, width)
    new_height = scale * height if height >= width else float(short_side)
    new_width = scale * width if width > height else float(short_side)
    longest = max(new_height, new_width)
    if longest > longest_side:
        new_height, new_width = (
            side * (longest_side / longest) for side in (new_height, new_width)
        )
    return int(new_height + 0.5), int(new_width + 0.5)


def preprocess(image: np.ndarray, setting: Setting) -> tuple[torch.Tensor, tuple[int, int]]:
    """Return the padded network input (1, 3, H, W) and the (height, width) of the image in it."""
    height, width = resized_size(*image.shape[:2], setting.short_side, setting.longest_side)
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    x = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (setting.mean, setting.std))
    x = (x - mean) / std
    return F.pad(x, (0, -width % 32, 0, -height % 32))[None], (height, width)


# Boxes -------------------------------------------------------------------------------------------


def clip(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    height, width = size
    x1, y1, x2, y2 = boxes.unbind(1)
    x1, x2 = x1.clamp(0, width), x2.clamp(0, width)
    y1, y2 = y1.clamp(0, height), y2.clamp(0, height)
    return torch.stack((x1, y1, x2, y2), 1)


def is_nonempty(boxes: torch.Tensor) -> torch.Tensor:
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


def decode(
    deltas: torch.Tensor, boxes: torch.Tensor, weights: Sequence[float] = (1, 1, 1, 1)
) -> torch.Tensor:
    """Move boxes (N, 4) by deltas (N, 4)."""
    dx, dy, dw, dh = (deltas[:, i] / weights[i] for i in range(4))
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    centre_x, centre_y = boxes[:, 0] + 0.5 * width, boxes[:, 1] + 0.5 * height
    centre_x, centre_y = centre_x + dx * width, centre_y + dy * height
    width = width * dw.clamp(max=LARGEST_DELTA).exp()
    height = height * dh.clamp(max=LARGEST_DELTA).exp()
    corners = (centre_x - width / 2, centre_y - height / 2, centre_x + width / 2)
    return torch.stack((*corners, centre_y + height / 2), 1)


# Proposals ---------------------------------------------------------------------------------------


def cell_anchors(size: float) -> torch.Tensor:
    """Return the anchors (3, 4) of the cell at (0, 0), one a ratio of height to width."""
    anchors = []
    for ratio in ASPECT_RATIOS:
        width = math.sqrt(size * size / ratio)
        height = width * ratio
        anchors.append([-width / 2, -height / 2, width / 2, height / 2])
    return torch.tensor(anchors)


def grid_anchors(size: float, stride: int, height: int, width: int) -> torch.Tensor:
    """Return the anchors of a map in the order (H, W, A)."""
    ys, xs = torch.arange(height) * stride, torch.arange(width) * stride
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    shifts = torch.stack((x, y, x, y), -1).reshape(-1, 1, 4).float()
    return (shifts + cell_anchors(size)).reshape(-1, 4)


def rpn_outputs(state: State, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (HWA,) and deltas (HWA, 4) of one map."""
    head = "proposal_generator.rpn_head"
    x = conv(state, f"{head}.conv", x).relu()
    logits = conv(state, f"{head}.objectness_logits", x)[0].permute(1, 2, 0).reshape(-1)
    deltas = conv(state, f"{head}.anchor_deltas", x)[0]
    per_anchor = deltas.view(-1, 4, *deltas.shape[1:])  # (A, 4, H, W)
    return logits, per_anchor.permute(2, 3, 0, 1).reshape(-1, 4)


def rpn(
    state: State,
    maps: list[torch.Tensor],
    size: tuple[int, int],
    pre_nms: int = 1000,
    post_nms: int = 1000,
) -> torch.Tensor:
    """Return the proposals (at most ``post_nms``, 4) of one image, best first."""
    return scored_proposals(state, maps, size, pre_nms)[0][:post_nms]


def scored_proposals(
    state: State, maps: list[torch.Tensor], size: tuple[int, int], pre_nms: int = 1000
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all proposals (n, 4) of one image, best first, and their logits (n,)."""
    boxes, scores, levels = [], [], []
    for level, x in enumerate(maps):
        logits, deltas = rpn_outputs(state, x)
        anchors = grid_anchors(ANCHOR_SIZES[level], STRIDES[level], *x.shape[-2:])
        best, index = logits.topk(min(pre_nms, len(logits)))
        boxes.append(decode(deltas[index], anchors[index]))
        scores.append(best)
        levels.append(torch.full_like(index, level))
    boxes, scores, levels = clip(torch.cat(boxes), size), torch.cat(scores), torch.cat(levels)
    kept = is_nonempty(boxes)
    boxes, scores, levels = boxes[kept], scores[kept], levels[kept]
    kept = batched_nms(boxes, scores, levels, 0.7)
    return boxes[kept], scores[kept]


# Heads -------------------------------------------------------------------------------------------


def box_levels(boxes: torch.Tensor) -> torch.Tensor:
    """Return which of P2 .. P5 each box (N, 4) is pooled from, as 0 .. 3."""
    sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    return (4 + torch.log2(sides / 224 + 1e-8)).floor().clamp(2, 5).long() - 2


def pool(maps: list[torch.Tensor], boxes: torch.Tensor, resolution: int) -> torch.Tensor:
    """Return the features (N, C, resolution, resolution) of boxes (N, 4)."""
    levels = box_levels(boxes)
    pooled = maps[0].new_zeros((len(boxes), maps[0].shape[1], resolution, resolution))
    for level in range(4):
        chosen = levels == level
        rois = F.pad(boxes[chosen], (1, 0))  # the image's number, 0, comes first
        pooled[chosen] = roi_align(
            maps[level], rois, resolution, 1 / STRIDES[level], sampling_ratio=-1, aligned=True
        )
    return pooled


def linear(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def box_outputs(
    state: State, maps: list[torch.Tensor], proposals: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (N, K + 1), the background's last, and deltas (N, 4K)."""
    x = pool(maps, proposals, 7).flatten(1)
    x = linear(state, "roi_heads.box_head.fc1", x).relu()
    x = linear(state, "roi_heads.box_head.fc2", x).relu()
    predictor = "roi_heads.box_predictor"
    return linear(state, f"{predictor}.cls_score", x), linear(state, f"{predictor}.bbox_pred", x)


def roi_heads(
    state: State,
    maps: list[torch.Tensor],
    proposals: torch.Tensor,
    size: tuple[int, int],
    setting: Setting,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return boxes, scores and classes of the detections, in pixels of the resized image."""
    return select(*box_outputs(state, maps, proposals), proposals, size, setting)


def select(
    logits: torch.Tensor,
    deltas: torch.Tensor,
    proposals: torch.Tensor,
    size: tuple[int, int],
    setting: Setting,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return boxes, scores and classes of the detections that the outputs of the heads make."""
    scores = logits.softmax(1)[:, :-1]
    k = scores.shape[1]
    repeated = proposals.repeat_interleave(k, 0)
    boxes = clip(decode(deltas.reshape(-1, 4), repeated, (10, 10, 5, 5)), size).view(-1, k, 4)
    rows, classes = torch.nonzero(scores > setting.score_thresh, as_tuple=True)
    boxes, scores = boxes[rows, classes], scores[rows, classes]
    kept = batched_nms(boxes, scores, classes, 0.5)[: setting.max_detections]
    return boxes[kept], scores[kept], classes[kept]


# One for each stage.
CASCADE_WEIGHTS = ((10, 10, 5, 5), (20, 20, 10, 10), (30, 30, 15, 15))


def cascade_outputs(
    state: State, maps: list[torch.Tensor], boxes: torch.Tensor, stage: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what ``box_outputs`` does for a stage: logits (N, K + 1) and deltas (N, 4)."""
    x = pool(maps, boxes, 7).flatten(1)
    x = linear(state, f"roi_heads.box_head.{stage}.fc1", x).relu()
    x = linear(state, f"roi_heads.box_head.{stage}.fc2", x).relu()
    predictor = f"roi_heads.box_predictor.{stage}"
    return linear(state, f"{predictor}.cls_score", x), linear(state, f"{predictor}.bbox_pred", x)


def cascade_heads(
    state: State,
    maps: list[torch.Tensor],
    proposals: torch.Tensor,
    size: tuple[int, int],
    setting: Setting,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what ``roi_heads`` does: three stages, their boxes in turn, their mean score."""
    scores, boxes = torch.zeros(()), proposals
    for stage, weights in enumerate(CASCADE_WEIGHTS):
        # What the stage before has moved is clipped, and kept even if nothing is left of it.
        boxes = clip(boxes, size) if stage else boxes
        logits, deltas = cascade_outputs(state, maps, boxes, stage)
        scores = scores + logits.softmax(1)[:, :-1] / len(CASCADE_WEIGHTS)
        boxes = decode(deltas, boxes, weights)
    boxes = clip(boxes, size)
    rows, classes = torch.nonzero(scores > setting.score_thresh, as_tuple=True)
    boxes, scores = boxes[rows], scores[rows, classes]
    kept = batched_nms(boxes, scores, classes, 0.5)[: setting.max_detections]
    return boxes[kept], scores[kept], classes[kept]


def mask_logits(state: State, maps: list[torch.Tensor], boxes: torch.Tensor) -> torch.Tensor:
    """Return the logits (N, K, 28, 28) of the mask in each box, for every class."""
    x = pool(maps, boxes, 14)
    for i in (1, 2, 3, 4):
        x = conv(state, f"roi_heads.mask_head.mask_fcn{i}", x).relu()
    weight, bias = (state[f"roi_heads.mask_head.deconv.{name}"] for name in ("weight", "bias"))
    x = F.conv_transpose2d(x, weight, bias, stride=2).relu()
    return conv(state, "roi_heads.mask_head.predictor", x)


def paste(masks: torch.Tensor, boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return masks (N, height, width) of soft masks in boxes, sampled at the pixels' centres."""
    x1, y1, x2, y2 = boxes[:, :, None].unbind(1)  # (N, 1) each
    x = (torch.arange(width) + 0.5 - x1) / (x2 - x1) * 2 - 1  # (N, W)
    y = (torch.arange(height) + 0.5 - y1) / (y2 - y1) * 2 - 1  # (N, H)
    n = len(masks)
    grid = torch.stack(
        (x[:, None, :].expand(n, height, width), y[:, :, None].expand(n, height, width)), 3
    )
    return F.grid_sample(masks[:, None], grid, align_corners=False)[:, 0] >= 0.5
