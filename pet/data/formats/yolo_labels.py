"""The lines of a YOLO label file: class number, and numbers relative to the sides of the picture.

Source: the description of label files at https://docs.ultralytics.com/datasets.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pet.annotations.values import short
from pet.data.formats.yolo_yaml import YoloFile

#: Numbers may leave 0..1 by this much, and are clipped; beyond it they are no parts of a side.
_SLACK = 0.5
#: ... and by this much as they are rounded, which is not counted.
_ROUNDING = 1e-4

CLIPPED = "labels reach out of their picture, and are clipped to it"
TWICE = "label lines repeat another of their file, and are left out"


@dataclass(frozen=True)
class Labels:
    """The objects of a picture, as COCO's records without image id, and what was changed."""

    objects: list[dict[str, Any]] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)


def read_labels(file: Path, yolo: YoloFile, size: tuple[int, int]) -> Labels:
    """Return the objects in the label ``file`` of a picture of ``size`` (height, width), in pixels.

    Raises ValueError, which names the file, the line and the numbers of a wrong line.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"the label file {file} is no text in UTF-8; save it so") from None
    labels, seen = Labels(), set()
    for number, line in enumerate(lines, 1):
        words = tuple(line.split())
        if not words:
            continue
        if words in seen:
            labels.changes[TWICE] += 1
            continue
        seen.add(words)
        try:
            labels.objects.append(_object(words, yolo, size, labels.changes))
        except ValueError as error:
            raise ValueError(f"{file}, line {number}: {error}") from None
    return labels


def _object(
    words: tuple[str, ...], yolo: YoloFile, size: tuple[int, int], changes: Counter[str]
) -> dict[str, Any]:
    """Return the record of a line; raises ValueError with the fault."""
    class_number = _class_number(words[0], yolo)
    values = _numbers(words[1:])
    points = len(yolo.points.names) * yolo.points.values
    record: dict[str, Any] = {"category_id": class_number + 1}
    was_clipped = Counter[str]()
    if len(values) == 4 or (points and len(values) == 4 + points):
        record["bbox"] = _box(values[:4], size, was_clipped)
        if len(values) > 4:
            record["keypoints"] = _keypoints(values[4:], yolo.points.values, size, was_clipped)
    elif len(values) >= 6 and len(values) % 2 == 0 and not points:
        x = [_pixel(value, size[1], was_clipped, "x") for value in values[::2]]
        y = [_pixel(value, size[0], was_clipped, "y") for value in values[1::2]]
        record["segmentation"] = [[side for corner in zip(x, y, strict=True) for side in corner]]
        record["bbox"] = [min(x), min(y), max(x) - min(x), max(y) - min(y)]
    else:
        raise ValueError(_miscounted(len(values), yolo, points))
    changes[CLIPPED] += bool(was_clipped)
    return record


def _miscounted(count: int, yolo: YoloFile, points: int) -> str:
    text = f"{count} numbers follow the class; a box has 4 (centre x, y, width, height)"
    if points:
        return (
            f"{text}, and one with keypoints {4 + points}, by kpt_shape "
            f"[{len(yolo.points.names)}, {yolo.points.values}] of {yolo.path}"
        )
    more = "; a fifth, such as the score of a prediction, must go" if count == 5 else ""
    return f"{text}, and a polygon 6 or more, an even number{more}"


def _class_number(word: str, yolo: YoloFile) -> int:
    value = _number(word)
    if not value.is_integer():
        raise ValueError(f"the class is {short(word)}, not a whole number")
    if int(value) not in yolo.names:
        known = f"{min(yolo.names)} to {max(yolo.names)}"
        raise ValueError(
            f"the class is {short(word).strip(chr(39))}, but {yolo.path} names the classes {known}"
        )
    return int(value)


def _numbers(words: Sequence[str]) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = [math.nan]
    # a sum is not finite if one of the numbers is not; float takes 1_0 for 10
    if math.isfinite(sum(values)) and "_" not in "".join(words):
        return values
    return [_number(word) for word in words]


def _number(word: str) -> float:
    try:
        value = math.nan if "_" in word else float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{short(word)} is not a number; numbers are separated by spaces")
    return value


def _box(values: list[float], size: tuple[int, int], clipped: Counter[str]) -> list[float]:
    """Return x, y, width and height in pixels, of a box clipped to the picture."""
    for name, value in zip(("x", "y", "width", "height"), values, strict=True):
        _check(value, name)
    x, y, width, height = values
    if width < 0 or height < 0:
        raise ValueError(f"the box has the width {width} and the height {height}")
    x1, x2 = (_clip(side, clipped) * size[1] for side in (x - width / 2, x + width / 2))
    y1, y2 = (_clip(side, clipped) * size[0] for side in (y - height / 2, y + height / 2))
    return [x1, y1, x2 - x1, y2 - y1]


def _keypoints(
    values: list[float], count: int, size: tuple[int, int], clipped: Counter[str]
) -> list[float]:
    """Return x, y and visibility of each point; 0, 0, 0 for one that is not labelled."""
    found: list[float] = []
    for start in range(0, len(values), count):
        x, y = values[start : start + 2]
        seen = values[start + 2] if count == 3 else 2.0 * (x != 0 or y != 0)
        if seen not in (0, 1, 2):
            raise ValueError(
                f"the visibility of point {start // count + 1} is {seen}; it must be 0 (not "
                "labelled), 1 (hidden) or 2 (visible)"
            )
        if seen:
            found += [_pixel(x, size[1], clipped, "x"), _pixel(y, size[0], clipped, "y"), seen]
        else:
            found += [0.0, 0.0, 0.0]
    return found


def _pixel(value: float, side: int, clipped: Counter[str], name: str) -> float:
    if 0 <= value <= 1:
        return value * side
    _check(value, name)
    return _clip(value, clipped) * side


def _check(value: float, name: str) -> None:
    """Raise ValueError if ``value`` is far from 0..1."""
    if not -_SLACK <= value <= 1 + _SLACK:
        raise ValueError(
            f"{name} is {value}; numbers are parts of the sides of the picture, 0 to 1, and not "
            "pixels"
        )


def _clip(value: float, clipped: Counter[str]) -> float:
    if not -_ROUNDING <= value <= 1 + _ROUNDING:
        clipped[CLIPPED] += 1
    return min(max(value, 0.0), 1.0)
