"""The part of LVIS's files that COCO's lack: lists of classes for each image, and names by URL.

LVIS is federated: a class is verified in some of the images only. An image lists the classes that
it certainly lacks ("neg_category_ids"), and those of which not every object is annotated
("not_exhaustive_category_ids"). Source: Gupta et al. 2019, sections 3 and 4.

N images, in the order of the file.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from pet.annotations.table import FREQUENCIES, LISTS, Annotations
from pet.annotations.values import Otherwise, short, whole_numbers


def list_columns(
    file: Path, ids: np.ndarray, entries: Sequence[Any], otherwise: Otherwise
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return which of ``LISTS`` each image has (N, 2) uint8, and the content of each list.

    That is (P, 2) int64: the id of an image, of ``ids`` (N,), and the id of a category. Raises
    ValueError if one is no list of category ids.
    """
    has = np.zeros((len(ids), len(LISTS)), np.uint8)
    pairs = {}
    for place, key in enumerate(LISTS):
        rows = [entry.get(key) for entry in entries]
        has[:, place] = [row is not None for row in rows]
        pairs[key] = _pairs(file, ids, key, [[] if row is None else row for row in rows], otherwise)
    return has, pairs


def _pairs(
    file: Path, ids: np.ndarray, key: str, rows: Sequence[Any], otherwise: Otherwise
) -> np.ndarray:
    """Return the image id and category id (P, 2) int64 of all items of ``rows`` (N)."""
    place = next((n for n, row in enumerate(rows) if not isinstance(row, list)), None)
    if place is not None:
        raise _wrong(file, ids[place], key, rows[place], "not a list of category ids")
    owners = np.repeat(ids, np.fromiter(map(len, rows), np.int64, len(rows)))
    items = list(chain.from_iterable(rows))
    categories, wrong = whole_numbers(items, otherwise)
    if wrong:
        raise _wrong(file, owners[wrong[0]], key, items[wrong[0]], "which is no category id", "has")
    return np.stack((owners, categories), axis=1)


def _wrong(
    file: Path, image_id: int, key: str, value: Any, what: str, verb: str = "is"
) -> ValueError:
    return ValueError(f"{file}: images, id {image_id}: {key!r} {verb} {short(value)}, {what}")


def name_by_url(entry: Mapping[str, Any]) -> str | None:
    """Return the folder and the name of an image's file that its "coco_url" ends in, or None.

    LVIS's images have no "file_name": http://images.cocodataset.org/train2017/000000391895.jpg is
    that of train2017/000000391895.jpg.
    """
    url = entry.get("coco_url")
    if not isinstance(url, str):
        return None
    try:
        parts = PurePosixPath(urlsplit(url).path).parts[-2:]
    except ValueError:  # an invalid address
        return None
    is_name = len(parts) == 2 and not {"/", "..", "."} & set(parts)
    return "/".join(parts) if is_name else None


def check_federated(table: Annotations) -> None:
    """Raise ValueError if ``table`` lacks what LVIS's score needs.

    These are both lists in each image, and the frequency of each category with annotations.
    """
    for place, key in enumerate(LISTS):
        lacking = np.flatnonzero(~table.has_lists[:, place])
        if len(lacking):
            raise ValueError(
                f"{table.file}: images, id {table.image_ids[lacking[0]]}: there is no list "
                f"{key!r}, which LVIS's score needs; a file of COCO's own form has the TYPE coco"
            )
    used = set(np.unique(table.category_ids).tolist())
    for category in table.categories:
        found = category.get("frequency")
        if category["id"] in used and found not in FREQUENCIES:
            raise ValueError(
                f"{table.file}: categories, id {category['id']}: 'frequency' is {short(found)}, "
                f"not one of {', '.join(FREQUENCIES)} (rare, common, frequent), which LVIS's score "
                "needs"
            )
