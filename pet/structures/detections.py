"""What a model found in one image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from pet.ops.boxes import clip_boxes, scale_boxes, valid_boxes
from pet.ops.keypoints import scale_keypoints
from pet.ops.paste import PASTE_METHODS
from pet.structures.segmentation import Crop


@dataclass(frozen=True)
class Detections:
    """Detections of one image, best score first; N detections, N may be 0."""

    boxes: Tensor  # (N, 4) float32, xyxy, in pixels of an image of ``size``
    scores: Tensor  # (N,) float32, 0..1
    labels: Tensor  # (N,) int64, 1..K; 0 only by RETINANET.BACKGROUND_OUTPUT
    size: tuple[int, int]  # height, width of the image, in pixels
    mask_probs: Tensor | None = None  # (N, M, M) float32, 0..1, inside each box; None: no masks
    mask_paste: str = "pixel_centre"  # how they become pixels; see MRCNN.PASTE_METHOD
    # (N, P, 3) float32: x and y of P points in pixels, also outside the box, and a third value that
    # tells how sure they are; see KRCNN.SCORE_METHOD. None: no keypoints
    keypoints: Tensor | None = None
    drop_empty: bool = True  # whether ``resized`` drops empty boxes; see RETINANET.DROP_EMPTY
    # What a part of the user's own predicts of each, by name: (N, ...) each. No number of them is
    # changed with the size of the image.
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.scores)
        assert self.boxes.shape == (count, 4) and self.labels.shape == (count,)
        assert self.mask_probs is None or len(self.mask_probs) == count
        assert self.mask_paste in PASTE_METHODS, self.mask_paste
        if self.keypoints is not None:
            assert len(self.keypoints) == count and self.keypoints.shape[2:] == (3,)
        for name, values in self.extras.items():
            assert len(values) == count, f"extras[{name!r}] are {len(values)} of {count} detections"

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
            keypoints=None if self.keypoints is None else self.keypoints.to(device),
            extras={name: values.to(device) for name, values in self.extras.items()},
        )

    def __getitem__(self, index: Tensor) -> "Detections":
        """Return the detections that ``index`` (bool (N,) or int64 (n,)) picks."""
        return replace(
            self,
            boxes=self.boxes[index],
            scores=self.scores[index],
            labels=self.labels[index],
            mask_probs=None if self.mask_probs is None else self.mask_probs[index],
            keypoints=None if self.keypoints is None else self.keypoints[index],
            extras={name: values[index] for name, values in self.extras.items()},
        )

    @staticmethod
    def join(found: Sequence["Detections"]) -> "Detections":
        """Return all of ``found``, one or more, of one image, in their order: not best first.

        Masks, keypoints and each of the ``extras`` are in all of them or in none.
        """
        first = found[0]
        assert all(one.size == first.size for one in found), "detections of several sizes"
        assert all(one.extras.keys() == first.extras.keys() for one in found), "extras that differ"
        return replace(
            first,
            boxes=torch.cat([one.boxes for one in found]),
            scores=torch.cat([one.scores for one in found]),
            labels=torch.cat([one.labels for one in found]),
            mask_probs=_cat([one.mask_probs for one in found]),
            keypoints=_cat([one.keypoints for one in found]),
            extras={name: torch.cat([one.extras[name] for one in found]) for name in first.extras},
        )

    def resized(self, size: tuple[int, int]) -> "Detections":
        """Return the detections in pixels of the same image at ``size`` (height, width).

        Those whose box is empty then, once clipped to the image, are dropped (Detectron2), but
        where ``drop_empty`` is False.
        """
        ratio_y, ratio_x = size[0] / self.size[0], size[1] / self.size[1]
        boxes = clip_boxes(scale_boxes(self.boxes, ratio_x, ratio_y), size)
        keypoints = self.keypoints
        if keypoints is not None:
            keypoints = scale_keypoints(keypoints, ratio_x, ratio_y)
        resized = replace(self, boxes=boxes, size=size, keypoints=keypoints)
        return resized[valid_boxes(boxes)] if self.drop_empty else resized

    def mask_crops(self) -> Iterator[Crop]:
        """Yield each mask as the pixels of its box, at the resolution of the image, on the CPU.

        There must be masks: ``mask_probs`` is not None.
        """
        assert self.mask_probs is not None
        paste = PASTE_METHODS[self.mask_paste]
        for prob, box in zip(self.mask_probs.cpu(), self.boxes.cpu(), strict=True):
            bits, x, y = paste(prob, box, self.size)
            yield Crop(bits.byte().numpy(), x, y)

    @cached_property
    def masks(self) -> Tensor | None:
        """(N, H, W) bool, each mask over the whole image of ``size``; None: no masks.

        Drawn on first use and kept, at a byte a pixel: a hundred masks of 1333 x 800 take 107 MB.
        To go through them one at a time without that, take ``mask_crops``.
        """
        if self.mask_probs is None:
            return None
        full = torch.zeros((len(self), *self.size), dtype=torch.bool)
        for image, crop in zip(full, self.mask_crops(), strict=True):
            height, width = crop.bits.shape
            image[crop.y : crop.y + height, crop.x : crop.x + width] = torch.from_numpy(crop.bits)
        return full.to(self.boxes.device)


def _cat(values: Sequence[Tensor | None]) -> Tensor | None:
    """Return the tensors one after the other, or None where there are none."""
    there = [value for value in values if value is not None]
    assert len(there) in (0, len(values)), "detections with and without masks or keypoints"
    return torch.cat(there) if there else None
