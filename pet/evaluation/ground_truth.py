"""Ground truth in the form of pycocotools, from annotations that were read and checked."""

import contextlib
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask
from pycocotools.coco import COCO

from pet.annotations import Annotations, flaws, read_annotations
from pet.annotations.report import (
    count_reasons,
    describe_doubts,
    describe_left_out,
    describe_otherwise,
    name_annotations,
)

_logger = logging.getLogger(__name__)

Annotation = dict[str, Any]  # one entry of COCO's "annotations"


def annotations_of(truth: str | Path | Annotations, iou_types: Sequence[str]) -> Annotations:
    """Return ``truth``; the path of a file is read, and its flawed annotations are logged.

    Raises FileNotFoundError and ValueError as ``read_annotations`` does, and ValueError if the file
    has no list of annotations.
    """
    if isinstance(truth, Annotations):
        table = truth
    else:
        table = read_annotations(truth)
        every, with_masks = np.ones(len(table.ids), bool), "segm" in iou_types
        for line in (
            *describe_otherwise(table),
            *describe_left_out(table, every, with_masks),
            *describe_doubts(table, every, with_masks),
        ):
            _logger.warning("%s", line)
    if not table.has_annotations:
        raise ValueError(
            f"{table.file} has no list 'annotations' among its sections, so that nothing can be "
            "scored by it"
        )
    return table


def ground_truth(table: Annotations, iou_type: str, image_ids: Sequence[int]) -> COCO:
    """Return the annotations of ``image_ids`` for an evaluation by ``iou_type``.

    Annotations with an unusable box (for "segm" also mask) are left out, as in training. A missing
    or implausible area is replaced by that of the mask, else of the box. Annotation ids are
    renumbered from 1, as id 0 means "no match" in pycocotools. For "keypoints", annotations without
    keypoints count as not labelled. Raises ValueError for an unknown image id, and if there are
    annotations but none is usable.
    """
    places = table.places(image_ids)
    unknown = [number for number, place in zip(image_ids, places, strict=True) if place < 0]
    if unknown:
        raise ValueError(
            f"{table.file}: {len(unknown)} of the images to evaluate are not in the annotation "
            f"file; the first ids are {sorted(unknown)[:5]}"
        )
    places = np.unique(places)
    wanted = np.zeros(len(table.image_ids), bool)
    wanted[places] = True
    chosen = wanted[table.image_of]
    numbers = np.flatnonzero(_usable(table, iou_type, chosen)).tolist()
    found = [_entry(table, number, iou_type) for number in numbers]
    if iou_type == "keypoints":
        _add_keypoints(table, numbers, found)
    for number, entry in enumerate(found, 1):
        entry["id"] = number
    sizes = table.sizes.tolist()
    images = [
        {"id": int(table.image_ids[place]), "height": sizes[place][0], "width": sizes[place][1]}
        for place in places.tolist()
    ]
    categories = [{"id": each["id"], "name": each["name"]} for each in table.categories]
    return make_coco(images, found, categories)


def make_coco(
    images: list[Annotation], annotations: list[Annotation], categories: list[Annotation]
) -> COCO:
    """Return a pycocotools data set, without printing pycocotools' messages."""
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _usable(table: Annotations, iou_type: str, chosen: np.ndarray) -> np.ndarray:
    """Return which of ``chosen`` (M,) bool are usable; ValueError if none of them is."""
    usable = chosen & (table.box_flaws == 0)
    if chosen.any() and not usable.any():
        reasons = ", ".join(count_reasons(table.box_flaws[chosen], flaws.BOX_FLAWS))
        raise ValueError(
            f"{table.file}: no annotation of the images to evaluate has a usable box: {reasons}; "
            f"{name_annotations(table, np.flatnonzero(chosen))}"
        )
    if iou_type != "segm":
        return usable
    sizeless = usable & (table.mask_flaws == 0) & (table.sizes[table.image_of] < 1).any(axis=1)
    if sizeless.any():
        image_id = table.image_ids[table.image_of[np.flatnonzero(sizeless)[0]]]
        raise ValueError(
            f"{table.file}: image {image_id} has no height and width, which its masks need"
        )
    with_mask = usable & (table.mask_flaws == 0)
    if usable.any() and not with_mask.any():
        reasons = ", ".join(count_reasons(table.mask_flaws[usable], flaws.MASK_FLAWS))
        raise ValueError(
            f"{table.file}: no annotation of the images to evaluate has a usable segmentation, so "
            f"masks cannot be scored: {reasons}; give MODEL.MASK_ON False, or annotate masks"
        )
    return with_mask


def _entry(table: Annotations, number: int, iou_type: str) -> Annotation:
    """Return annotation ``number`` with "area" and, for "segm", the mask as an RLE."""
    place = table.image_of[number]
    box = table.boxes[number].tolist()
    area = float(table.areas[number])
    entry: Annotation = {
        "image_id": int(table.image_ids[place]),
        "category_id": int(table.category_ids[number]),
        "bbox": box,
        "iscrowd": int(table.crowds[number]),
    }
    height, width = table.sizes[place].tolist()
    has_mask = table.mask_flaws[number] == 0 and height > 0 and width > 0
    if has_mask and (iou_type == "segm" or np.isnan(area)):
        entry["segmentation"] = _encoded(table, number, (height, width))
    if np.isnan(area):
        mask = entry.get("segmentation")
        area = box[2] * box[3] if mask is None else float(coco_mask.area(mask))
    entry["area"] = area
    return entry


def _encoded(table: Annotations, number: int, size: tuple[int, int]) -> dict[str, Any]:
    """Return the mask of annotation ``number``, in an image of ``size``, as compressed RLE."""
    if not table.is_polygons(number):
        return table.rle(number)
    flat = [polygon.reshape(-1).tolist() for polygon in table.polygons(number)]
    return coco_mask.merge(coco_mask.frPyObjects(flat, *size))


def _add_keypoints(table: Annotations, numbers: Sequence[int], found: list[Annotation]) -> None:
    """Set "keypoints" and "num_keypoints" (the labelled ones) in each of ``found``."""
    points = {number: table.keypoints(number).tolist() for number in numbers}
    # Objects before crowds: the first one determines the number of keypoints.
    with_points = sorted((n for n in numbers if points[n]), key=lambda n: bool(table.crowds[n]))
    _check_keypoints(table, numbers, points, with_points)
    length = len(points[with_points[0]]) if with_points else 0
    for number, entry in zip(numbers, found, strict=True):
        fits = len(points[number]) == length
        entry["keypoints"] = points[number] if fits else [0.0] * length
        entry["num_keypoints"] = sum(visibility > 0 for visibility in entry["keypoints"][2::3])


def _check_keypoints(
    table: Annotations,
    numbers: Sequence[int],
    points: Mapping[int, list[float]],
    with_points: Sequence[int],
) -> None:
    """Raise ValueError if objects have flawed keypoints, none at all, or different numbers of them.

    Crowds may differ, as they are not scored. ``with_points`` are the ``numbers`` with keypoints.
    """
    flawed = [n for n in numbers if table.point_flaws[n] and not table.crowds[n]]
    if flawed:
        raise ValueError(
            f"{table.file}: {_where(table, flawed[0])} has keypoints other than COCO's, x, y and "
            "visibility of each point, as finite numbers"
        )
    if numbers and not with_points:
        raise ValueError(
            f"{table.file}: no annotation of the images to evaluate has keypoints, so they cannot "
            "be scored; give MODEL.KEYPOINT_ON False, or annotate keypoints"
        )
    for number in with_points:
        count, first = len(points[number]), with_points[0]
        if count != len(points[first]) and not table.crowds[number]:
            raise ValueError(
                f"{table.file}: {_where(table, number)} has {count // 3} keypoints, and "
                f"{_where(table, first)} has {len(points[first]) // 3}; all objects have as many, "
                "those that are not labelled among them"
            )


def _where(table: Annotations, number: int) -> str:
    image_id = table.image_ids[table.image_of[number]]
    return f"annotation {table.ids[number]} of image {image_id}"
