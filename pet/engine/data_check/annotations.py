"""Findings about single annotations: flaws, doubts, repeated and tiny boxes.

M annotations of the table; B usable boxes.
"""

from collections.abc import Iterable

import numpy as np

from pet.annotations import flaws
from pet.annotations.report import corners_hint, describe_otherwise, find_left_out
from pet.data.datasets.coco_report import CROWDS_NOT_MEANT, are_painted
from pet.engine.data_check.checked_set import Boxes, CheckedSet
from pet.engine.data_check.findings import (
    NOTE,
    WARNING,
    Finding,
    Where,
    annotations_at,
    counted,
    share,
)
from pet.engine.data_check.network_size import NetworkSizes
from pet.modeling.contract import DetectionLimit

#: Two boxes of a class with a larger IoU are one object, annotated twice.
SAME_IOU = 0.95
#: Boxes with a shorter side, in pixels of the network input, are tiny.
TINY = 1.0
_MOST_STEPS = 200  # boxes to the right that a box is compared with


def annotation_findings(checked: CheckedSet) -> list[Finding]:
    """Return the findings about flaws, doubts and repeated boxes."""
    return [
        *_left_out(checked),
        *_doubts(checked),
        *_repeated(checked),
        *_painted(checked),
        *_otherwise(checked),
    ]


def _finding(checked: CheckedSet, numbers: np.ndarray, **values: str) -> Finding:
    where = annotations_at(checked.table, numbers)
    return Finding(data_sets=(checked.name,), where=where, **values)


def _left_out(checked: CheckedSet) -> Iterable[Finding]:
    considered = checked.objects if checked.is_train else checked.chosen
    for flaw, numbers, of_mask in find_left_out(checked.table, considered, checked.with_masks):
        lost = "left out" if checked.is_train or not of_mask else "left out of the mask scores"
        yield _finding(
            checked,
            numbers,
            severity=WARNING,
            kind="unusable-masks" if of_mask else "unusable-boxes",
            text=f"{counted(len(numbers), 'annotation')} with {flaw.what}: {lost}",
            remedy=flaw.remedy or "correct the annotations",
        )


#: Bit of a doubt -> severity, kind, text for n boxes, and remedy.
_DOUBTS = {
    flaws.NORMALISED: (
        WARNING,
        "normalised-boxes",
        "within the first pixel of its image, as if the coordinates were parts of its sides",
        "give pixels, not numbers from 0 to 1",
    ),
    flaws.BEYOND_IMAGE: (
        WARNING,
        "boxes-beyond-image",
        "reaching out of its image: only the part inside is used",
        "boxes count in pixels of the image as declared, [x, y, width, height]",
    ),
    flaws.MASK_ELSEWHERE: (
        WARNING,
        "masks-elsewhere",
        "with a mask that lies for the most part outside of the box",
        "correct the box or the mask",
    ),
    flaws.POOR_AREA: (
        NOTE,
        "poor-areas",
        'with an impossible "area": that of the mask or box is used',
        "",
    ),
}


def _doubts(checked: CheckedSet) -> Iterable[Finding]:
    table = checked.table
    considered = checked.objects if checked.is_train else checked.chosen
    for bit, (severity, kind, text, remedy) in _DOUBTS.items():
        numbers = np.flatnonzero((table.doubts & bit > 0) & considered)
        if not len(numbers) or (bit == flaws.MASK_ELSEWHERE and not checked.with_masks):
            continue
        hint = corners_hint(table, considered) if bit == flaws.BEYOND_IMAGE else ""
        yield _finding(
            checked,
            numbers,
            severity=severity,
            kind=kind,
            text=f"{counted(len(numbers), 'annotation')} {text}{hint}",
            remedy=remedy,
        )


def _repeated(checked: CheckedSet) -> Iterable[Finding]:
    numbers = repeated_boxes(checked.boxes)
    if len(numbers):
        yield _finding(
            checked,
            numbers,
            severity=WARNING,
            kind="repeated-boxes",
            text=f"{counted(len(numbers), 'box', 'boxes')} over another of the same class, with an "
            f"IoU above {SAME_IOU}",
            remedy="take one of each pair out, if the object is annotated twice",
        )


def repeated_boxes(boxes: Boxes) -> np.ndarray:
    """Return the numbers of the annotations that repeat an earlier box of their image and class.

    Boxes are sorted by image, class and left edge, and compared with those to the right, until the
    distance of the left edges rules an IoU above ``SAME_IOU`` out.
    """
    order = np.lexsort((boxes.numbers, boxes.corners[:, 0], boxes.labels, boxes.images))
    corners, numbers = boxes.corners[order], boxes.numbers[order]
    group = np.stack((boxes.images, boxes.labels), axis=1)[order]
    reach = corners[:, 0] + (1 - SAME_IOU) * (corners[:, 2] - corners[:, 0])
    left = np.arange(len(order))
    repeated: list[np.ndarray] = []
    for step in range(1, _MOST_STEPS):
        left = left[left + step < len(order)]
        right = left + step
        near = (group[left] == group[right]).all(axis=1) & (corners[right, 0] <= reach[left])
        left, right = left[near], right[near]
        if not len(left):
            break
        same = _iou(corners[left], corners[right]) > SAME_IOU
        repeated.append(np.maximum(numbers[left[same]], numbers[right[same]]))
    return np.unique(np.concatenate(repeated)) if repeated else np.zeros(0, np.int64)


def _iou(first: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the (n,) IoU of pairs of boxes (n, 4)."""
    low, high = np.maximum(first[:, :2], other[:, :2]), np.minimum(first[:, 2:], other[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (first, other)]
    return shared / (areas[0] + areas[1] - shared)


def tiny_boxes(checked: CheckedSet, sizes: NetworkSizes) -> list[Finding]:
    """Return the finding about boxes that are tiny at the largest scale, if there are any."""
    new = sizes.resized(checked.sizes, sizes.scales[-1])
    corners = checked.boxes.resized(checked.sizes, new)
    sides = np.minimum(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    found = np.flatnonzero(sides < TINY)
    if not len(found):
        return []
    at = f"at {sizes.key} {sizes.given[-1]:g}" if sizes.given else "as annotated"
    return [
        _finding(
            checked,
            checked.boxes.numbers[found],
            severity=WARNING,
            kind="tiny-boxes",
            text=f"{counted(len(found), 'box', 'boxes')} "
            f"({share(len(found), len(checked.boxes))}) narrower or lower than {TINY:.0f} px {at}",
            remedy=f"take them out, or give a larger {sizes.key}",
        )
    ]


def crowded_images(checked: CheckedSet, limit: DetectionLimit | None) -> list[Finding]:
    """Return the finding about images with more objects than the model may detect, if any."""
    if limit is None or not (checked.objects_per_image > limit.most).any():
        return []
    found = np.flatnonzero(checked.objects_per_image > limit.most)
    found = found[np.argsort(-checked.objects_per_image[found], kind="stable")]
    counts = checked.objects_per_image[found].tolist()
    return [
        Finding(
            severity=NOTE if checked.is_train else WARNING,
            kind="crowded-images",
            data_sets=(checked.name,),
            text=f"{counted(len(found), 'image')} with more than {limit.most} objects, the most "
            "that are detected in an image",
            remedy=f"raise {limit.key} to find more",
            where=Where(
                tuple(checked.image_ids[found].tolist()),
                details=tuple(f"{count} objects" for count in counts),
            ),
        )
    ]


def empty_images(checked: CheckedSet, left_out: bool) -> list[Finding]:
    """Return the finding about images without objects; ``left_out``: they are not trained on."""
    found = np.flatnonzero(checked.objects_per_image == 0)
    if not len(found):
        return []
    fate = ""
    if checked.is_train:
        key = "DATALOADER.FILTER_EMPTY_ANNOTATIONS"
        fate = f"; they are left out ({key})" if left_out else f"; they are background ({key})"
    part = share(len(found), len(checked.image_ids))
    return [
        Finding(
            severity=NOTE,
            kind="images-without-objects",
            data_sets=(checked.name,),
            text=f"{counted(len(found), 'image')} ({part}) without objects{fate}",
            where=Where(tuple(checked.image_ids[found].tolist())),
        )
    ]


def _painted(checked: CheckedSet) -> Iterable[Finding]:
    if are_painted(checked.table, checked.chosen):
        numbers = np.flatnonzero(checked.table.crowds & checked.chosen)
        yield _finding(
            checked,
            numbers,
            severity=WARNING,
            kind="painted-crowds",
            text=f"{counted(len(numbers), 'annotation')} of {int(checked.chosen.sum())} marked as "
            "crowds, which are not trained on, and all masks that are RLEs are among them",
            remedy=CROWDS_NOT_MEANT,
        )


def _otherwise(checked: CheckedSet) -> Iterable[Finding]:
    for line in describe_otherwise(checked.table):
        yield Finding(severity=NOTE, kind="read-otherwise", data_sets=(checked.name,), text=line)
