"""Parts of a sample: a window of its picture, or some of its objects."""

from dataclasses import replace

import torch
from torch import Tensor

from pet.data.sample import Sample
from pet.ops.boxes import box_area, clip_boxes, shift_boxes, valid_boxes
from pet.ops.keypoints import cut_keypoints


def cut(sample: Sample, x: int, y: int, size: tuple[int, int]) -> Sample:
    """Return the part of ``sample`` from column ``x`` and row ``y`` on, (height, width) large.

    The part must lie in the picture. Boxes are clipped, also those of objects with masks (as in
    torchvision, and in Detectron2 by default). All objects stay, even without an area: see
    ``drop_lost``. Keypoints outside become unlabelled.
    """
    assert sample.resize_to is None, "a picture that is resized on the device has no parts yet"
    height, width = size
    masks, keypoints = sample.masks, sample.keypoints
    return replace(
        sample,
        image=sample.image[y : y + height, x : x + width],
        boxes=clip_boxes(shift_boxes(sample.boxes, -x, -y), size),
        masks=None if masks is None else tuple(mask.cut(x, y, size) for mask in masks),
        keypoints=None if keypoints is None else cut_keypoints(keypoints, x, y, size),
    )


def visible_share(boxes: Tensor, x: int, y: int, size: tuple[int, int]) -> Tensor:
    """Return (N,) in [0, 1]: the share of each box's area in the window; 0 of an empty box."""
    inside = box_area(clip_boxes(shift_boxes(boxes, -x, -y), size))
    return torch.where(inside > 0, inside / box_area(boxes), 0.0)


def drop_lost(sample: Sample) -> Sample:
    """Return ``sample`` without the objects whose box is empty or whose mask has no pixel."""
    keep = valid_boxes(sample.boxes)
    if sample.masks is not None:
        found = [
            bool(near) and bool(mask.crop(sample.size).bits.any())
            for near, mask in zip(keep.tolist(), sample.masks, strict=True)
        ]
        keep = torch.tensor(found, dtype=torch.bool)
    return sample if keep.all() else select(sample, keep)


def select(sample: Sample, keep: Tensor) -> Sample:
    """Return ``sample`` with only the objects in ``keep`` (N,) bool, or in the order of (n,) int64.

    The picture stays as it is.
    """
    places = torch.nonzero(keep).flatten() if keep.dtype == torch.bool else keep
    masks, keypoints = sample.masks, sample.keypoints
    return replace(
        sample,
        boxes=sample.boxes[places],
        labels=sample.labels[places],
        masks=None if masks is None else tuple(masks[place] for place in places.tolist()),
        keypoints=None if keypoints is None else keypoints[places],
        extras={name: values[places] for name, values in sample.extras.items()},
    )
