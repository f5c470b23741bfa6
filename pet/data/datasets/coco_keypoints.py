"""The keypoints of an annotation file in COCO's format."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pet.annotations import Annotations
from pet.annotations.table import Entry
from pet.annotations.values import short
from pet.structures import KeypointLayout

_REMEDY = (
    "give a file of keypoints, such as COCO's person_keypoints_train2017.json (data set "
    "coco_2017_keypoints_train), or MODEL.KEYPOINT_ON False"
)


@dataclass(frozen=True)
class KeypointOptions:
    """How keypoints are read."""

    pixel_shift: float = 0.0  # added to the coordinates of labelled points, in pixels
    min_per_image: int = 0  # training leaves out images with fewer labelled points


def read_layout(table: Annotations) -> KeypointLayout:
    """Return the layout of the points that the categories of ``table`` name.

    Some categories may lack points. Raises ValueError, naming file and key, if all lack them, if
    two have different ones, or if they are malformed.
    """
    layouts = [
        (category["name"], _layout(category, f"{table.file}: category {category['name']!r}"))
        for category in table.categories
        if category.get("keypoints")
    ]
    if not layouts:
        raise ValueError(
            f'{table.file}: no category has "keypoints", the names of its points; {_REMEDY}'
        )
    (first, layout), *others = layouts
    for name, other in others:
        if other.names != layout.names:
            raise ValueError(
                f'{table.file}: the categories {first!r} and {name!r} have different "keypoints"; '
                "a model predicts the same points for all classes"
            )
    return layout


def _layout(category: Entry, where: str) -> KeypointLayout:
    """Return the layout of a category; COCO's skeleton counts points from 1."""
    names, skeleton = category["keypoints"], category.get("skeleton") or []
    if not _is_list(names, str) or len(set(names)) < len(names):
        raise ValueError(
            f'{where}: "keypoints" must be a list of different names; got {short(names)}'
        )
    limbs_fit = isinstance(skeleton, list) and all(
        _is_list(limb, int) and len(limb) == 2 and min(limb) >= 1 and max(limb) <= len(names)
        for limb in skeleton
    )
    if not limbs_fit:
        raise ValueError(
            f'{where}: "skeleton" must be a list of pairs of points, 1 to {len(names)}; '
            f"got {short(skeleton)}"
        )
    return KeypointLayout(tuple(names), tuple((a - 1, b - 1) for a, b in skeleton))


def _is_list(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def check_points(table: Annotations, chosen: np.ndarray, count: int) -> None:
    """Raise ValueError if keypoints of ``chosen`` (M,) bool are not ``count`` points, or all lack.

    The error names file and annotation.
    """
    owners, lengths = table.with_keypoints()
    if not len(owners) and not table.point_flaws.any():
        raise ValueError(f'{table.file}: no annotation has "keypoints"; {_REMEDY}')
    wrong = table.point_flaws > 0
    wrong[owners[lengths != 3 * count]] = True
    numbers = np.flatnonzero(wrong & chosen)
    if len(numbers):
        raise ValueError(
            f"{table.file}: annotation {table.ids[numbers[0]]}: the key 'keypoints' must hold x, y "
            f"and visibility of each of the {count} points that the category names, {3 * count} "
            f"finite numbers; {len(numbers)} annotations hold something else"
        )


def read_points(table: Annotations, number: int, count: int, shift: float) -> np.ndarray:
    """Return x, y, visibility (``count``, 3) of an annotation; 0, 0, 0 for unlabelled points.

    An annotation without keypoints has no labelled points. ``shift`` is added to labelled ones.
    """
    values = table.keypoints(number)
    if not len(values):
        return np.zeros((count, 3))
    points = values.reshape(count, 3) + np.array([shift, shift, 0.0])
    return np.where(points[:, 2:] > 0, points, 0)


def count_labelled(table: Annotations, chosen: np.ndarray, count: int) -> np.ndarray:
    """Return the number (N,) int64 of labelled points of ``chosen`` (M,) bool in each image."""
    owners, _ = table.with_keypoints()
    rows = chosen[owners]
    owners, starts = owners[rows], table.columns["point_range"][rows, 0]
    places = starts[:, None] + np.arange(2, 3 * count, 3)
    labelled = (table.columns.numbers[places] > 0).sum(axis=1)
    return np.bincount(
        table.image_of[owners], weights=labelled, minlength=len(table.image_ids)
    ).astype(np.int64)
