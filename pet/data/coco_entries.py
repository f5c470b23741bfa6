"""The content of annotations that were read and checked, as entries of a file in COCO's format."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask

from pet.annotations import Annotations

Entries = dict[str, list[dict[str, Any]]]  # section -> its entries


def coco_entries(table: Annotations) -> Entries:
    """Return the images, categories and annotations of ``table``.

    Annotations whose box cannot be used are left out, and of unusable masks and keypoints only
    these. A missing area is that of the mask, or else of the box; it stays missing if the size of
    the image does, which the mask needs. Ids stay, except that annotations are numbered from 1 if
    one has an id below, as pycocotools takes 0 for none.
    """
    sizes = table.sizes.tolist()
    images: list[dict[str, Any]] = [
        {"id": number, "file_name": name, "height": size[0], "width": size[1]}
        for number, name, size in zip(
            table.image_ids.tolist(), table.file_names(range(len(sizes))), sizes, strict=True
        )
    ]
    numbers = np.flatnonzero(table.box_flaws == 0).tolist()
    annotations = [_entry(table, number) for number in numbers]
    if min((entry["id"] for entry in annotations), default=1) < 1:
        for number, entry in enumerate(annotations, 1):
            entry["id"] = number
    categories = [dict(category) for category in table.categories]
    return {"images": images, "categories": categories, "annotations": annotations}


def _entry(table: Annotations, number: int) -> dict[str, Any]:
    place = int(table.image_of[number])
    box = table.boxes[number].tolist()
    entry: dict[str, Any] = {
        "id": int(table.ids[number]),
        "image_id": int(table.image_ids[place]),
        "category_id": int(table.category_ids[number]),
        "bbox": box,
        "area": float(table.areas[number]),
        "iscrowd": int(table.crowds[number]),
        "segmentation": [],
    }
    mask = None
    if table.mask_flaws[number] == 0:
        entry["segmentation"], mask = _segmentation(table, number, table.sizes[place].tolist())
    if mask is not None and np.isnan(entry["area"]):
        entry["area"] = float(coco_mask.area(mask))
    elif np.isnan(entry["area"]) and not entry["segmentation"]:
        entry["area"] = box[2] * box[3]
    elif np.isnan(entry["area"]):
        del entry["area"]  # the size of the picture is not known, which the mask needs
    points = table.keypoints(number)
    if len(points) and table.point_flaws[number] == 0:
        entry["keypoints"] = points.tolist()
        entry["num_keypoints"] = int((points[2::3] > 0).sum())
    return entry


def _segmentation(
    table: Annotations, number: int, size: list[int]
) -> tuple[list[list[float]] | dict[str, Any], dict[str, Any] | None]:
    """Return the mask as in a file, and as RLE; None if the size of the image is unknown."""
    if not table.is_polygons(number):
        rle = table.rle(number)
        return {**rle, "counts": rle["counts"].decode("ascii")}, rle
    polygons = [polygon.reshape(-1).tolist() for polygon in table.polygons(number)]
    if min(size) < 1:
        return polygons, None
    return polygons, coco_mask.merge(coco_mask.frPyObjects(polygons, *size))


def unify_categories(parts: Sequence[Entries], names: Sequence[str]) -> None:
    """Give all ``parts`` the same categories, in place; equal names are one category.

    Ids stay if all parts have the same categories. Raises ValueError if two parts have different
    keypoints of a category; ``names`` are those of the parts in the message.
    """
    first = parts[0]["categories"]
    if all(part["categories"] == first for part in parts):
        return
    joined: dict[str, dict[str, Any]] = {}
    for part, name in zip(parts, names, strict=True):
        for category in part["categories"]:
            known = joined.setdefault(category["name"], {**category, "id": len(joined) + 1})
            for key in ("keypoints", "skeleton"):
                if known.setdefault(key, category.get(key)) != category.get(key, known[key]):
                    raise ValueError(
                        f"{name}: the category {category['name']!r} has other {key} than in "
                        f"{names[0]}; make them equal"
                    )
    categories = [
        {key: value for key, value in category.items() if value is not None}
        for category in joined.values()
    ]
    for part in parts:
        new_ids = {each["id"]: joined[each["name"]]["id"] for each in part["categories"]}
        for entry in part["annotations"]:
            entry["category_id"] = new_ids[entry["category_id"]]
        part["categories"] = categories


def join_entries(parts: Sequence[Entries]) -> tuple[Entries, int]:
    """Return all images and annotations of ``parts``, of the same categories, and the repeats.

    An image of the same name in several parts comes once, as in the first of them; the repeats are
    the others. Ids of a single part stay; of several, images and annotations are numbered from 1.
    """
    if len(parts) == 1:
        return parts[0], 0
    images: dict[str, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for part in parts:
        new_ids = {}
        for image in part["images"]:
            if image["file_name"] not in images:
                new_ids[image["id"]] = len(images) + 1
                images[image["file_name"]] = {**image, "id": len(images) + 1}
        for entry in part["annotations"]:
            if entry["image_id"] in new_ids:
                moved = {"id": len(annotations) + 1, "image_id": new_ids[entry["image_id"]]}
                annotations.append({**entry, **moved})
    joined = {
        "images": list(images.values()),
        "categories": parts[0]["categories"],
        "annotations": annotations,
    }
    return joined, sum(len(part["images"]) for part in parts) - len(images)


def select_images(entries: Entries, places: Sequence[int]) -> Entries:
    """Return the images at ``places`` with their annotations, and all categories."""
    images = [entries["images"][place] for place in places]
    wanted = {image["id"] for image in images}
    annotations = [each for each in entries["annotations"] if each["image_id"] in wanted]
    return {"images": images, "categories": entries["categories"], "annotations": annotations}
