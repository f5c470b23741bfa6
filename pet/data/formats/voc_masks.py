"""The masks of Pascal VOC's objects, from the PNGs of SegmentationObject and SegmentationClass."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pet.data.formats.index_png import IndexMask, masks_of, read_indices
from pet.data.formats.voc_xml import VocObject
from pet.data.image_file import ImageReader, shown_path

#: The classes of VOC in its own order: index 1 of SegmentationClass is the first.
VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
_BACKGROUND, _BORDER = 0, 255  # the border around objects belongs to none
_LEAST_INSIDE = 0.5  # of the box of a mask, inside the box of its object
_LEAST_OVERLAP = 0.5  # IoU from which the number of the mask decides

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class VocMask:
    """The mask of an object, and the index of its class, 0 if there is no PNG of the classes."""

    mask: IndexMask
    class_index: int


def read_masks(
    objects: Path, classes: Path, reader: ImageReader
) -> tuple[tuple[int, int], list[VocMask]]:
    """Return height and width of the PNG ``objects``, and the masks in it, in order of number.

    The class of a mask is that of most of its pixels in the PNG ``classes``. Raises
    FileNotFoundError or ValueError, which name the file.
    """
    indices = read_indices(objects, reader)
    size = (indices.shape[0], indices.shape[1])
    masks = masks_of(indices, without=(_BACKGROUND, _BORDER))
    if not masks or not classes.is_file():
        return size, [VocMask(mask, 0) for mask in masks]
    kinds = read_indices(classes, reader)
    if kinds.shape != indices.shape:
        raise ValueError(
            f"{shown_path(classes)} has {kinds.shape[1]} x {kinds.shape[0]} pixels, and "
            f"{shown_path(objects)} has {size[1]} x {size[0]}"
        )
    # The pixels of each object and each class, (objects, 256).
    pairs = indices.astype(np.int64) << 8 | np.minimum(kinds, _BORDER)
    counts = np.bincount(pairs.ravel(), minlength=(int(indices.max()) + 1) << 8).reshape(-1, 256)
    counts[:, (_BACKGROUND, _BORDER)] = 0
    # Without any pixel in a class, argmax is that of the background.
    return size, [VocMask(mask, int(counts[mask.value].argmax())) for mask in masks]


def match_masks(
    masks: Sequence[VocMask], objects: Sequence[VocObject], class_names: Sequence[str]
) -> dict[int, IndexMask]:
    """Return the mask of each of ``objects`` that has one, by the place of the object.

    VOC numbers masks as the objects of the XML file, from 1. A mask goes to the object of its
    number if their boxes overlap by half, otherwise to the one that overlaps it most. In any case
    half of its box lies inside that of the object, and the object is of its class, if that has a
    name among ``class_names``, which begin at index 1.
    """
    scores = {}
    for number, each in enumerate(masks):
        name = class_name(each.class_index, class_names)
        for place, one in enumerate(objects):
            inside, overlap = _overlaps(each.mask.box, one.box)
            if inside >= _LEAST_INSIDE and name in (None, one.name):
                is_own = each.mask.value == place + 1 and overlap >= _LEAST_OVERLAP
                scores[number, place] = overlap + is_own
    matched: dict[int, IndexMask] = {}
    used = set()
    for number, place in sorted(scores, key=lambda pair: (-scores[pair], pair)):
        if number not in used and place not in matched:
            used.add(number)
            matched[place] = masks[number].mask
    return matched


def class_name(index: int, class_names: Sequence[str]) -> str | None:
    """Return the name of the class with ``index``, from 1, or None if it has none."""
    return class_names[index - 1] if 1 <= index <= len(class_names) else None


def _overlaps(mask: Box, box: Box) -> tuple[float, float]:
    """Return the part of the box of a mask that is inside ``box``, and the IoU of both."""
    width = min(mask[2], box[2]) - max(mask[0], box[0])
    height = min(mask[3], box[3]) - max(mask[1], box[1])
    if width <= 0 or height <= 0:
        return 0.0, 0.0
    shared = width * height
    return shared / _area(mask), shared / (_area(mask) + _area(box) - shared)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
