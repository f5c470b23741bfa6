"""The keypoints of an annotation file in COCO's format."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pet.data.datasets.coco_file import CocoFile, Entry, are_numbers
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


def read_layout(file: CocoFile) -> KeypointLayout:
    """Return the points that the categories of ``file`` name.

    Categories without any are fine beside others. Raises ValueError, naming file and key, where
    all lack them, where two have different ones, or where they cannot be meant.
    """
    layouts = {
        category["name"]: _layout(category, f"{file.path}: category {category['name']!r}")
        for category in file.categories
        if category.get("keypoints")
    }
    if not layouts:
        raise ValueError(
            f'{file.path}: no category has "keypoints", the names of its points; {_REMEDY}'
        )
    (first, layout), *others = layouts.items()
    for name, other in others:
        if other.names != layout.names:
            raise ValueError(
                f'{file.path}: the categories {first!r} and {name!r} have different "keypoints"; '
                "a model predicts the same points for all classes"
            )
    return layout


def _layout(category: Entry, where: str) -> KeypointLayout:
    """Return the points of a category; COCO's skeleton counts them from 1."""
    names, skeleton = category["keypoints"], category.get("skeleton") or []
    if not _is_list(names, str) or len(set(names)) < len(names):
        raise ValueError(f'{where}: "keypoints" must be a list of different names; got {names!r}')
    limbs_fit = isinstance(skeleton, list) and all(
        _is_list(limb, int) and len(limb) == 2 and min(limb) >= 1 and max(limb) <= len(names)
        for limb in skeleton
    )
    if not limbs_fit:
        raise ValueError(
            f'{where}: "skeleton" must be a list of pairs of points, 1 to {len(names)}; '
            f"got {skeleton!r}"
        )
    return KeypointLayout(tuple(names), tuple((a - 1, b - 1) for a, b in skeleton))


def _is_list(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def read_points(annotation: Entry, count: int, shift: float, file: CocoFile) -> list[float]:
    """Return x, y, visibility of ``count`` points, end to end; 0, 0, 0 for one not labelled.

    Where ``annotation`` has none, no point is labelled. ``shift`` is added to the others. Raises
    ValueError, naming file and annotation, where they are not three finite numbers a point.
    """
    values = annotation.get("keypoints")
    if not values:
        return [0.0] * (3 * count)
    if not are_numbers(values, 3 * count) or len(values) != 3 * count:
        raise ValueError(
            f"{file.path}: annotation {annotation['id']}: the key 'keypoints' must hold x, y and "
            f"visibility of each of the {count} points that the category names, {3 * count} finite "
            f"numbers; it holds {values!r}"
        )
    points: list[float] = []
    for x, y, visibility in zip(values[::3], values[1::3], values[2::3], strict=True):
        points += (x + shift, y + shift, visibility) if visibility > 0 else (0.0, 0.0, 0.0)
    return points


def count_labelled(points: Sequence[Sequence[float]]) -> int:
    """Return how many points are labelled, of objects as ``read_points`` returns them."""
    return sum(visibility > 0 for per_object in points for visibility in per_object[2::3])


def require_keypoints(file: CocoFile) -> None:
    """Raise ValueError where no annotation of ``file`` has keypoints."""
    annotations = (a for per_image in file.annotations.values() for a in per_image)
    if not any(annotation.get("keypoints") for annotation in annotations):
        raise ValueError(f'{file.path}: no annotation has "keypoints"; {_REMEDY}')
