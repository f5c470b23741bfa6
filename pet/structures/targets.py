"""The ground truth of one image, as training sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from pet.structures.segmentation import MaskCrops


@dataclass(frozen=True)
class Targets:
    """Ground truth of one image, in pixels of the network input; N boxes, N may be 0."""

    boxes: Tensor  # (N, 4) float32, xyxy
    labels: Tensor  # (N,) int64, 1..K
    size: tuple[int, int]  # height, width of the image without padding, in pixels
    image_id: int  # the id in its data set
    masks: MaskCrops | None = None  # N masks, or None where the data set is read without
    # (N, P, 3) float32: x, y and visibility (0 not labelled, 1 hidden, 2 visible) of P points; None
    # where the data set is read without
    keypoints: Tensor | None = None
    # What a data set of the user's own knows of each object, by name: (N, ...) each
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.boxes.shape == (len(self.labels), 4)
        assert self.masks is None or len(self.masks) == len(self.labels)
        if self.keypoints is not None:
            assert len(self.keypoints) == len(self.labels) and self.keypoints.shape[2:] == (3,)
        for name, values in self.extras.items():
            assert len(values) == len(self.labels), f"extras[{name!r}] are not one an object"

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Targets":
        """Return the targets on ``device``."""
        return replace(
            self,
            boxes=self.boxes.to(device, non_blocking=non_blocking),
            labels=self.labels.to(device, non_blocking=non_blocking),
            masks=None if self.masks is None else self.masks.to(device, non_blocking),
            keypoints=(
                None
                if self.keypoints is None
                else self.keypoints.to(device, non_blocking=non_blocking)
            ),
            extras={
                name: values.to(device, non_blocking=non_blocking)
                for name, values in self.extras.items()
            },
        )

    def pin_memory(self) -> "Targets":
        """Return the targets in page-locked memory, as the DataLoader asks for."""
        return replace(
            self,
            boxes=self.boxes.pin_memory(),
            labels=self.labels.pin_memory(),
            masks=None if self.masks is None else self.masks.pin_memory(),
            keypoints=None if self.keypoints is None else self.keypoints.pin_memory(),
            extras={name: values.pin_memory() for name, values in self.extras.items()},
        )
