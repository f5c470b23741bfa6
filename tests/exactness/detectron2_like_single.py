"""What Detectron2's R-CNN models without pyramid, C4 and DC5, compute, in plain torch.

As in ``detectron2_like``, nothing here imports ``pet``. All five sizes of anchors stand on one map
of stride 16: that of res4, with res5 as the head of the RoIs, or that of a dilated res5.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import nms, roi_align, roi_pool

from tests.exactness import detectron2_like as like
from tests.exactness import detectron2_like_trunk as trunk_like
from tests.exactness.detectron2_like import Setting
from tests.exactness.detectron2_like_trunk import State

STRIDE = 16
Pool = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


def align(x: torch.Tensor, boxes: torch.Tensor, resolution: int) -> torch.Tensor:
    """Return the features (N, C, resolution, resolution) of boxes (N, 4) of the map ``x``."""
    rois = F.pad(boxes, (1, 0))
    return roi_align(x, rois, resolution, 1 / STRIDE, sampling_ratio=-1, aligned=True)


def max_pool(x: torch.Tensor, boxes: torch.Tensor, resolution: int) -> torch.Tensor:
    """Return what RoIPool does, as ``align``."""
    return roi_pool(x, F.pad(boxes, (1, 0)), resolution, 1 / STRIDE)


def detect(
    state: State, image: np.ndarray, setting: Setting, post_nms: int, pool: Pool = align
) -> dict[str, torch.Tensor]:
    """Return what ``detectron2_like.detect`` does; C4 or DC5, as ``state`` has it."""
    x, size = like.preprocess(image, setting)
    x = features(state, x[:, :, : size[0], : size[1]], setting)  # one image is not padded
    proposals = rpn(state, x, size, post_nms)
    outputs = box_outputs(state, x, proposals, setting, pool)
    boxes, scores, classes = like.select(*outputs, proposals, size, setting)
    found = {"boxes": boxes, "scores": scores, "classes": classes}
    if "roi_heads.mask_head.predictor.weight" in state:
        logits = mask_logits(state, x, boxes, setting, pool)
        found["masks"] = logits[torch.arange(len(classes)), classes].sigmoid()
    return like.in_image(found, size, image.shape[:2])


def stage(
    state: State, name: str, x: torch.Tensor, stride: int, setting: Setting, dilation: int = 1
) -> torch.Tensor:
    block = 0
    while f"{name}.{block}.conv1.weight" in state:
        first = stride if block == 0 else 1
        x = trunk_like.bottleneck(
            state, f"{name}.{block}", x, first, setting.stride_in_1x1, dilation
        )
        block += 1
    return x


def features(state: State, x: torch.Tensor, setting: Setting) -> torch.Tensor:
    """Return the map of res4, or of res5 where the trunk has it."""
    x = trunk_like.conv_norm(state, "backbone.stem.conv1", x, stride=2).relu()
    x = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
    for name, stride, dilation in (("res2", 1, 1), ("res3", 2, 1), ("res4", 2, 1), ("res5", 1, 2)):
        x = stage(state, f"backbone.{name}", x, stride, setting, dilation)
    return x


def rpn(state: State, x: torch.Tensor, size: tuple[int, int], post_nms: int) -> torch.Tensor:
    logits, deltas = like.rpn_outputs(state, x)
    cells = torch.stack(
        [
            like.grid_anchors(side, STRIDE, *x.shape[-2:]).view(-1, 3, 4)
            for side in like.ANCHOR_SIZES
        ],
        dim=1,
    )  # (H * W, sizes, ratios, 4)
    best, index = logits.topk(min(6000, len(logits)))
    boxes = like.clip(like.decode(deltas[index], cells.reshape(-1, 4)[index]), size)
    kept = like.is_nonempty(boxes)
    boxes, best = boxes[kept], best[kept]
    return boxes[nms(boxes, best, 0.7)[:post_nms]]


def res5(
    state: State, x: torch.Tensor, boxes: torch.Tensor, setting: Setting, pool: Pool
) -> torch.Tensor:
    """Return res5 (N, 2048, 7, 7) of boxes (N, 4)."""
    return stage(state, "roi_heads.res5", pool(x, boxes, 14), 2, setting)


def box_outputs(
    state: State, x: torch.Tensor, proposals: torch.Tensor, setting: Setting, pool: Pool = align
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (N, K + 1), the background's last, and deltas (N, 4K)."""
    if "roi_heads.res5.0.conv1.weight" in state:
        out = res5(state, x, proposals, setting, pool).mean(dim=(2, 3))
    else:
        out = pool(x, proposals, 7).flatten(1)
        out = like.linear(state, "roi_heads.box_head.fc1", out).relu()
        out = like.linear(state, "roi_heads.box_head.fc2", out).relu()
    predictor = "roi_heads.box_predictor"
    return tuple(
        like.linear(state, f"{predictor}.{name}", out) for name in ("cls_score", "bbox_pred")
    )


def mask_logits(
    state: State, x: torch.Tensor, boxes: torch.Tensor, setting: Setting, pool: Pool = align
) -> torch.Tensor:
    """Return the logits (N, K, M, M), of 14 x 14 cells from res5 and of 28 x 28 without it."""
    head = "roi_heads.mask_head"
    if "roi_heads.res5.0.conv1.weight" in state:
        out = res5(state, x, boxes, setting, pool)
    else:
        out = pool(x, boxes, 14)
        for i in (1, 2, 3, 4):
            out = trunk_like.conv(state, f"{head}.mask_fcn{i}", out).relu()
    weight, bias = (state[f"{head}.deconv.{name}"] for name in ("weight", "bias"))
    out = F.conv_transpose2d(out, weight, bias, stride=2).relu()
    return trunk_like.conv(state, f"{head}.predictor", out)
