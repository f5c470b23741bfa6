"""What a model found in one image."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pet.ops.boxes import clip_boxes, scale_boxes


@dataclass(frozen=True)
class Detections:
    """Detections of one image, best score first; N detections, N may be 0."""

    boxes: Tensor  # (N, 4) float32, xyxy, in pixels of an image of ``size``
    scores: Tensor  # (N,) float32, 0..1
    labels: Tensor  # (N,) int64, 1..K
    size: tuple[int, int]  # height, width of the image, in pixels
    mask_probs: Tensor | None = None  # (N, M, M) float32, 0..1, inside each box; None: no masks

    def __post_init__(self) -> None:
        count = len(self.scores)
        assert self.boxes.shape == (count, 4) and self.labels.shape == (count,)
        assert self.mask_probs is None or len(self.mask_probs) == count

    def __len__(self) -> int:
        return len(self.scores)

    def to(self, device: torch.device | str) -> "Detections":
        """Return the detections on ``device``."""
        return replace(
            self,
            boxes=self.boxes.to(device),
            scores=self.scores.to(device),
            labels=self.labels.to(device),
            mask_probs=None if self.mask_probs is None else self.mask_probs.to(device),
        )

    def __getitem__(self, index: Tensor) -> "Detections":
        """Return the detections that ``index`` (bool (N,) or int64 (n,)) picks."""
        return replace(
            self,
            boxes=self.boxes[index],
            scores=self.scores[index],
            labels=self.labels[index],
            mask_probs=None if self.mask_probs is None else self.mask_probs[index],
        )

    def resized(self, size: tuple[int, int]) -> "Detections":
        """Return the detections in pixels of the same image at ``size`` (height, width)."""
        ratio_y, ratio_x = size[0] / self.size[0], size[1] / self.size[1]
        boxes = clip_boxes(scale_boxes(self.boxes, ratio_x, ratio_y), size)
        return replace(self, boxes=boxes, size=size)
