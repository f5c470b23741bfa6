"""The shapes in a JSON file of labelme, joined to objects.

Shapes with the same label and group id are parts of one object; a point with the group id of an
object is one of its keypoints. Coordinates are x and y in pixels of the upright picture.

Source: the files that labelme 5 writes, and its own conversion to COCO's format.
"""

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pet.annotations.flaws import LARGEST_COORDINATE
from pet.annotations.values import Otherwise, number, short
from pet.data.formats.labelme_mask import Size, decode_mask, join_masks, mask_box
from pet.structures import Rle

#: Labels of regions that are no objects: ignored, or nothing.
IGNORE, BACKGROUND = "__ignore__", "_background_"

LONELY_POINTS = "points have no group id of a shape, and are left out"
BACKGROUNDS = f"shapes are labelled {BACKGROUND}, and are left out"
FEW_POINTS = "polygons have fewer than three points, and are left out"
EMPTY_MASKS = "masks have no pixel in their picture, and are left out"

_CIRCLE_ERROR = 0.1  # pixels between a circle and its polygon, at most
_MOST_CORNERS = 360  # of that polygon

Point = tuple[float, float]


@dataclass
class Object:
    """An object of a picture, of parts that are added one after the other."""

    label: str
    boxes: list[list[float]] = field(default_factory=list)  # x1, y1, x2, y2 of each part
    polygons: list[list[float]] = field(default_factory=list)
    masks: list[Rle] = field(default_factory=list)
    points: dict[str, Point] = field(default_factory=dict)
    is_rectangle: bool = True  # whether all parts are

    @property
    def box(self) -> list[float]:
        """x, y, width and height around all parts."""
        x1, y1 = (min(box[n] for box in self.boxes) for n in (0, 1))
        x2, y2 = (max(box[n] for box in self.boxes) for n in (2, 3))
        return [x1, y1, x2 - x1, y2 - y1]

    def segmentation(self, size: Size) -> list[list[float]] | Rle | None:
        """Return polygons or an RLE, or None for a single rectangle, which is a mere box."""
        if self.masks:
            return join_masks(self.masks, self.polygons, size)
        return None if self.is_rectangle and len(self.polygons) == 1 else self.polygons


def read_shapes(
    file: Path, shapes: Sequence[Any], size: Size, max_pixels: int
) -> tuple[list[Object], Counter[str]]:
    """Return the objects of a picture of ``size``, and how many shapes were left out, by reason.

    Raises ValueError, which names file, shape and fault, for a malformed shape.
    """
    left_out: Counter[str] = Counter()
    objects: dict[Hashable, Object] = {}
    points: list[tuple[int, str, Hashable, Point]] = []
    for place, entry in enumerate(shapes):
        try:
            shape = _Shape(entry)
            if shape.label == BACKGROUND:
                left_out[BACKGROUNDS] += 1
            elif shape.kind == "point":
                points.append((place, shape.label, shape.group, shape.first))
            else:
                part = _part(shape, size, max_pixels, left_out)
                key = place if shape.group is None else (shape.group, shape.label)
                if part is not None:
                    _join(objects.setdefault(key, Object(shape.label)), part)
        except ValueError as error:
            raise ValueError(f"{file}, shape {place + 1}: {error}") from None
    for place, label, group, point in points:
        owners = [
            each
            for key, each in objects.items()
            if isinstance(key, tuple) and key[0] == group and each.label != IGNORE
        ]
        fault = _add_point(owners, label, point, left_out)
        if fault:
            raise ValueError(f"{file}, shape {place + 1}: {fault} the group id {group}")
    return list(objects.values()), left_out


class _Shape:
    """An entry of "shapes", checked."""

    def __init__(self, entry: Any) -> None:
        if not isinstance(entry, dict):
            raise ValueError(f"it is {short(entry)}, not an object with label and points")
        label, kind, group = (entry.get(key) for key in ("label", "shape_type", "group_id"))
        if not isinstance(label, str) or not label:
            raise ValueError(f"its label is {short(label)}, not a name")
        if not isinstance(kind, str | None):
            raise ValueError(f"its shape_type is {short(kind)}, not a name")
        if not isinstance(group, int | str | None):
            raise ValueError(f"its group_id is {short(group)}, not a number")
        self.label, self.kind, self.group = label, kind or "polygon", group
        self.mask = entry.get("mask")
        self.points = _points(entry.get("points"))

    @property
    def first(self) -> Point:
        """The first point."""
        if not self.points:
            raise ValueError("it has no points")
        return self.points[0]


def _points(value: Any) -> list[Point]:
    if not isinstance(value, list):
        raise ValueError(f"its points are {short(value)}, not a list of pairs x, y")
    found = []
    for pair in value:
        sides = pair if isinstance(pair, list) and len(pair) == 2 else [math.nan, math.nan]
        if type(sides[0]) is not float or type(sides[1]) is not float:  # which is the rule
            sides = [number(side, Otherwise()) for side in sides]
        x, y = sides
        if not (abs(x) <= LARGEST_COORDINATE and abs(y) <= LARGEST_COORDINATE):
            raise ValueError(f"its points hold {short(pair)}, which is no pair x, y in pixels")
        found.append((x, y))
    return found


def _part(shape: _Shape, size: Size, max_pixels: int, left_out: Counter[str]) -> Object | None:
    """Return an object of the one shape, or None if it is left out."""
    corners: list[Point] = []
    if shape.kind == "polygon":
        corners = shape.points
    elif shape.kind == "rectangle":
        corners = _rectangle(shape.points)
    elif shape.kind == "circle":
        corners = _circle(shape.points)
    elif shape.kind == "mask":
        return _mask(shape, size, max_pixels, left_out)
    else:
        left_out[f"shapes are of the type {short(shape.kind)}, and are left out"] += 1
        return None
    if len(corners) < 3:
        left_out[FEW_POINTS] += 1
        return None
    flat = [side for corner in corners for side in corner]
    box = [min(flat[::2]), min(flat[1::2]), max(flat[::2]), max(flat[1::2])]
    return Object(shape.label, [box], [flat], is_rectangle=shape.kind == "rectangle")


def _rectangle(points: list[Point]) -> list[Point]:
    if len(points) not in (2, 4):
        raise ValueError(f"a rectangle has two corners, and this one {len(points)} points")
    x, y = [point[0] for point in points], [point[1] for point in points]
    return [(min(x), min(y)), (max(x), min(y)), (max(x), max(y)), (min(x), max(y))]


def _circle(points: list[Point]) -> list[Point]:
    """Return the corners of a polygon for a circle, given by its centre and a point of its rim."""
    if len(points) != 2:
        raise ValueError(f"a circle has a centre and a point on its rim, this one {len(points)}")
    (x, y), rim = points
    radius = math.dist((x, y), rim)
    count = 12
    if radius > 1:
        count = min(math.ceil(math.pi / math.acos(1 - _CIRCLE_ERROR / radius)), _MOST_CORNERS)
    count += -count % 4  # so that the polygon has the box of the circle
    angles = [2 * math.pi * corner / count for corner in range(count)]
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


def _mask(shape: _Shape, size: Size, max_pixels: int, left_out: Counter[str]) -> Object | None:
    if not isinstance(shape.mask, str):
        raise ValueError(f"its mask is {short(shape.mask)}, not a PNG picture as base64 text")
    corner = [min(point[n] for point in (shape.first, *shape.points)) for n in (0, 1)]
    rle = decode_mask(shape.mask, (corner[0], corner[1]), size, max_pixels)
    if rle is None:
        left_out[EMPTY_MASKS] += 1
        return None
    return Object(shape.label, [mask_box(rle)], masks=[rle], is_rectangle=False)


def _join(whole: Object, part: Object) -> None:
    """Add the parts of ``part`` to ``whole``."""
    whole.boxes += part.boxes
    whole.polygons += part.polygons
    whole.masks += part.masks
    whole.is_rectangle &= part.is_rectangle


def _add_point(owners: list[Object], name: str, point: Point, left_out: Counter[str]) -> str:
    """Add a keypoint to the only one of ``owners``, and return the fault, or ""."""
    if not owners:
        left_out[LONELY_POINTS] += 1
    elif len(owners) > 1:
        named = ", ".join(short(owner.label) for owner in owners)
        return f"the point {short(name)} belongs to one object, but {named} share"
    elif name in owners[0].points:
        return f"there is a second point {short(name)} with"
    else:
        owners[0].points[name] = point
    return ""
