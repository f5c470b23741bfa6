"""What Detectron2's RetinaNets compute at inference, in plain torch and not from Pet.

As ``detectron2_like``, which has the image, the trunk and the boxes: nothing here imports ``pet``.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import batched_nms

from tests.exactness import detectron2_like as like
from tests.exactness import detectron2_like_trunk as trunk_like

State = trunk_like.State

STRIDES = (8, 16, 32, 64, 128)
SIZES = tuple((x, x * 2 ** (1.0 / 3), x * 2 ** (2.0 / 3)) for x in (32, 64, 128, 256, 512))
CANDIDATES = 1000


def detect(state: State, image: np.ndarray, setting: like.Setting) -> dict[str, torch.Tensor]:
    """Return ``boxes``, ``scores`` and ``classes``, from 0, of a BGR uint8 image, in its pixels."""
    network_input, size = like.preprocess(image, setting)
    maps = pyramid(state, trunk_like.resnet(state, network_input, setting.stride_in_1x1))
    boxes, scores, classes = [], [], []
    for level, x in enumerate(maps):
        logits, deltas = outputs(state, x)
        anchors = grid_anchors(level, *x.shape[-2:])
        probabilities = logits.sigmoid()  # (HWA, K)
        rows, columns = torch.nonzero(probabilities > setting.score_thresh, as_tuple=True)
        best, order = probabilities[rows, columns].sort(descending=True)
        rows, columns = rows[order[:CANDIDATES]], columns[order[:CANDIDATES]]
        boxes.append(like.decode(deltas[rows], anchors[rows]))
        scores.append(best[:CANDIDATES])
        classes.append(columns)
    found = {"boxes": torch.cat(boxes), "scores": torch.cat(scores), "classes": torch.cat(classes)}
    # Boxes reach over the edge of the image while they suppress each other.
    kept = batched_nms(found["boxes"], found["scores"], found["classes"], 0.5)
    found = {name: values[kept[: setting.max_detections]] for name, values in found.items()}
    return like.in_image(found, size, image.shape[:2])


def pyramid(state: State, maps: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the maps P3 .. P7 of res2 .. res5."""
    inner = trunk_like.conv(state, "backbone.fpn_lateral5", maps[3])
    levels = [trunk_like.conv(state, "backbone.fpn_output5", inner)]
    for level in (4, 3):
        lateral = trunk_like.conv(state, f"backbone.fpn_lateral{level}", maps[level - 2])
        inner = lateral + F.interpolate(inner, scale_factor=2, mode="nearest")
        levels.insert(0, trunk_like.conv(state, f"backbone.fpn_output{level}", inner))
    p6 = strided(state, "backbone.top_block.p6", maps[3])
    return [*levels, p6, strided(state, "backbone.top_block.p7", p6.relu())]


def strided(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride=2, padding=1)


def outputs(state: State, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (HWA, K) and deltas (HWA, 4) of one map."""
    cls, bbox = x, x
    for index in (0, 2, 4, 6):
        cls = trunk_like.conv(state, f"head.cls_subnet.{index}", cls).relu()
        bbox = trunk_like.conv(state, f"head.bbox_subnet.{index}", bbox).relu()
    found = []
    for name, hidden in (("cls_score", cls), ("bbox_pred", bbox)):
        raw = trunk_like.conv(state, f"head.{name}", hidden)[0]
        per_anchor = raw.view(9, -1, *raw.shape[1:])  # (A, outputs, H, W)
        found.append(per_anchor.permute(2, 3, 0, 1).flatten(0, 2))
    return found[0], found[1]


def grid_anchors(level: int, height: int, width: int) -> torch.Tensor:
    """Return the anchors of a map in the order (H, W, A), of which three in a row have one size."""
    cells = torch.cat([like.cell_anchors(size) for size in SIZES[level]])
    ys, xs = torch.arange(height) * STRIDES[level], torch.arange(width) * STRIDES[level]
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    shifts = torch.stack((x, y, x, y), -1).reshape(-1, 1, 4).float()
    return (shifts + cells).reshape(-1, 4)
