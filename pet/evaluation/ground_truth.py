"""Ground truth as pycocotools wants it, from annotation files as users write them."""

import contextlib
import io
import json
import logging
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pycocotools.mask as coco_mask
from pycocotools.coco import COCO

_logger = logging.getLogger(__name__)

Annotation = dict[str, Any]  # one entry of COCO's "annotations"


def read_annotation_file(path: str | Path) -> dict[str, Any]:
    """Return the content of a COCO annotation file.

    Raises FileNotFoundError where there is none, and ValueError where it is not one.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no annotation file {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"the annotation file {path} is not JSON: {error}") from error
    for key in ("images", "annotations", "categories"):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(
                f"the annotation file {path} has no list {key!r}; "
                "COCO's format has images, annotations and categories"
            )
    return content


def ground_truth(content: dict[str, Any], iou_type: str, image_ids: Collection[int]) -> COCO:
    """Return the annotations of ``image_ids``, completed for an evaluation by ``iou_type``.

    ``content`` is that of a COCO annotation file, and stays as it is. A missing "area" comes from
    the mask, else from the box; a missing "iscrowd" is 0; annotations are numbered anew from 1,
    because pycocotools takes the number 0 for "no match". For "segm", annotations with no usable
    mask are left out with a warning; for "keypoints", those without any count as not labelled.
    Raises ValueError where an image id is unknown, where a box is missing or malformed, or where,
    for "segm" or "keypoints", there are none at all.
    """
    wanted = set(image_ids)
    images = {image["id"]: image for image in content["images"] if image["id"] in wanted}
    unknown = sorted(wanted - set(images))
    if unknown:
        raise ValueError(
            f"{len(unknown)} of the images to evaluate are not in the annotation file; "
            f"the first ids are {unknown[:5]}"
        )
    found = [
        _completed(annotation, iou_type, images[annotation["image_id"]])
        for annotation in content["annotations"]
        if annotation.get("image_id") in wanted
    ]
    if iou_type == "segm":
        found = _with_masks(found)
    elif iou_type == "keypoints":
        found = _with_keypoints(found)
    for number, annotation in enumerate(found, 1):
        annotation["id"] = number
    return make_coco(list(images.values()), found, content["categories"])


def make_coco(
    images: list[Annotation], annotations: list[Annotation], categories: list[Annotation]
) -> COCO:
    """Return a pycocotools data set, made in silence."""
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


def _completed(annotation: Annotation, iou_type: str, image: dict[str, Any]) -> Annotation:
    """Return a copy with "area", "iscrowd" and, for "segm", the mask as an RLE where it has one."""
    where = f"annotation {annotation.get('id')} of image {image['id']}"
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError(f"{where} has the bbox {box!r}; COCO's is [x, y, width, height]")
    if annotation.get("category_id") is None:
        raise ValueError(f"{where} has no category_id")
    completed = {key: value for key, value in annotation.items() if key != "segmentation"}
    completed["iscrowd"] = annotation.get("iscrowd") or 0
    no_area = annotation.get("area") is None
    if iou_type == "segm" or no_area:
        mask = _encoded(annotation.get("segmentation"), image, where)
        if mask is not None:
            completed["segmentation"] = mask
        if no_area:
            completed["area"] = box[2] * box[3] if mask is None else float(coco_mask.area(mask))
    return completed


def _encoded(segmentation: Any, image: dict[str, Any], where: str) -> dict[str, Any] | None:
    """Return a mask as compressed RLE, or None where there is none to speak of."""
    if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), str | bytes):
        return segmentation
    if isinstance(segmentation, list):
        # pycocotools would read a list of four numbers as a box.
        segmentation = [p for p in segmentation if not isinstance(p, list) or len(p) >= 6]
    if not segmentation:
        return None
    height, width = image.get("height"), image.get("width")
    if not height or not width:
        raise ValueError(f"image {image['id']} has no height and width, which its masks need")
    try:
        rles = coco_mask.frPyObjects(segmentation, height, width)
        return coco_mask.merge(rles) if isinstance(rles, list) else rles
    except Exception as error:
        raise ValueError(
            f"the segmentation of {where} is neither a list of polygons [x, y, x, y, ...] nor an "
            f"RLE: {error}"
        ) from error


def _with_masks(annotations: list[Annotation]) -> list[Annotation]:
    """Return the annotations that have a mask."""
    kept = [annotation for annotation in annotations if "segmentation" in annotation]
    left_out = len(annotations) - len(kept)
    if annotations and not kept:
        raise ValueError(
            "no annotation of the images to evaluate has a segmentation, so masks cannot be "
            "scored; give MODEL.MASK_ON False, or annotate masks"
        )
    if left_out:
        images = sorted({a["image_id"] for a in annotations if "segmentation" not in a})
        _logger.warning(
            "%d annotations have no usable segmentation and are left out of the mask scores; "
            "the first image ids are %s",
            left_out,
            images[:5],
        )
    return kept


def _with_keypoints(annotations: list[Annotation]) -> list[Annotation]:
    """Return the annotations with "keypoints" and "num_keypoints", of labelled points."""
    with_points = [annotation for annotation in annotations if annotation.get("keypoints")]
    if annotations and not with_points:
        raise ValueError(
            "no annotation of the images to evaluate has keypoints, so they cannot be scored; give "
            "MODEL.KEYPOINT_ON False, or annotate keypoints"
        )
    for annotation in with_points:
        _check_points(annotation, with_points[0])
    complete = []
    for annotation in annotations:
        points = annotation.get("keypoints") or [0] * len(with_points[0]["keypoints"])
        labelled = sum(visibility > 0 for visibility in points[2::3])
        complete.append({**annotation, "keypoints": points, "num_keypoints": labelled})
    return complete


def _check_points(annotation: Annotation, first: Annotation) -> None:
    """Raise ValueError where the keypoints are no numbers, or of another count than the first's."""
    points = annotation["keypoints"]
    where = f"annotation {annotation.get('id')} of image {annotation['image_id']}"
    sound = isinstance(points, list) and len(points) % 3 == 0
    if not sound or not all(isinstance(v, int | float) and math.isfinite(v) for v in points):
        raise ValueError(
            f"{where} has the keypoints {points!r}; COCO's are x, y and visibility of each point, "
            "as numbers"
        )
    if len(points) != len(first["keypoints"]):
        raise ValueError(
            f"{where} has {len(points) // 3} keypoints, and annotation {first.get('id')} of image "
            f"{first['image_id']} has {len(first['keypoints']) // 3}; all objects have as many, "
            "those that are not labelled among them"
        )
