"""The data.yaml of a YOLO data set: its classes, keypoints and splits.

Source: the description of data sets at https://docs.ultralytics.com/datasets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pet.annotations.values import Otherwise, short, whole_number
from pet.config.yaml_file import Written, read_yaml
from pet.structures import KeypointLayout

#: Part of a data set -> its keys in a data.yaml.
SPLITS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
_MOST_POINTS = 10_000  # of an object, and of classes: more is no number of them
_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Points:
    """The keypoints of every object: their names, and how a label has them."""

    names: tuple[str, ...] = ()
    values: int = 3  # numbers of a point: x, y, and with 3 the visibility
    has_pairs: bool = True  # whether the file tells which points swap in a mirrored picture


@dataclass(frozen=True)
class YoloFile:
    """The content of a data.yaml, or of a list of names."""

    path: Path
    names: Mapping[int, str]  # class number, from 0 -> name
    points: Points = Points()
    root: str = ""  # folder of the splits, as written
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # folders or text files


def read_data_yaml(path: Path) -> YoloFile:
    """Return the content of a data.yaml; ValueError names the file, the key and the value."""
    content = read_yaml(path)
    splits = {
        split: _texts(path, key, content[key])
        for split, keys in SPLITS.items()
        for key in keys
        if key in content
    }
    return YoloFile(
        path=path,
        names=_names(path, content),
        points=_points(path, content),
        root=" ".join(_texts(path, "path", content.get("path", ""))),
        splits={split: texts for split, texts in splits.items() if texts},
    )


def read_names(path: Path) -> YoloFile:
    """Return the classes in a text file with one name in each line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"the list of class names {path} is not UTF-8; save it so") from None
    while lines and not lines[-1].strip():
        lines.pop()
    empty = [number for number, line in enumerate(lines, 1) if not line.strip()]
    if empty or not lines:
        where = f"line {empty[0]} of it is empty" if empty else "it is empty"
        raise ValueError(f"the list of class names {path} must have one in each line; {where}")
    return YoloFile(path, {number: line.strip() for number, line in enumerate(lines)})


def find_names(folder: Path, parents: int = 2) -> YoloFile | None:
    """Return the classes in the nearest file of names in ``folder`` or its ``parents``, if any.

    That is a data.yaml, or another YAML file with names, a classes.txt or an obj.names.
    """
    for place in (folder, *folder.absolute().parents[:parents]):
        found = find_data_yaml(place)
        if found is not None:
            return read_data_yaml(found)
        for name in ("classes.txt", "obj.names"):
            if (place / name).is_file():
                return read_names(place / name)
    return None


def find_data_yaml(folder: Path) -> Path | None:
    """Return the YAML file of a YOLO data set in ``folder``: data.yaml, or else the only one.

    Raises ValueError if there are several others.
    """
    for name in ("data.yaml", "data.yml"):
        if _is_data_yaml(folder / name):
            return folder / name
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
    except OSError:
        return None
    found = [path for path in files if _is_data_yaml(path)]
    if len(found) > 1:
        raise ValueError(
            f"{folder} has several YAML files of a YOLO data set: "
            f"{', '.join(path.name for path in found[:5])}; name the one that counts data.yaml, or "
            "give it as DATASETS.<name>.ANNOTATIONS"
        )
    return found[0] if found else None


def _is_data_yaml(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        content = read_yaml(path)
    except (OSError, ValueError):
        return path.stem == "data"  # reading it again gives the user the error
    others = {"nc", *(key for keys in SPLITS.values() for key in keys)}
    return "names" in content and (path.stem == "data" or bool(others & set(content)))


def _names(path: Path, content: Mapping[str, Any]) -> dict[int, str]:
    """Return the name of each class number; both keys, names and nc, must agree."""
    value, count = content.get("names"), _count(path, content)
    if value is None and count is not None:
        return {number: f"class_{number}" for number in range(count)}
    if isinstance(value, list):
        names = dict(enumerate(_name(path, each) for each in value))
    elif isinstance(value, dict):
        names = {_number(path, key): _name(path, each) for key, each in value.items()}
    else:
        raise ValueError(
            f"{path}: names is {_shown(value)}, not the list of class names, nor number: name of "
            "each"
        )
    if not names:
        raise ValueError(f"{path}: names is empty; give the name of each class")
    if count is not None and count != len(names):
        raise ValueError(f"{path}: nc is {count}, but names has {len(names)}; correct one of them")
    return dict(sorted(names.items()))


def _count(path: Path, content: Mapping[str, Any]) -> int | None:
    if "nc" not in content or is_nothing(content["nc"]):
        return None
    count = _whole(content["nc"])
    if count is None or not 0 < count <= _MOST_POINTS:
        raise ValueError(f"{path}: nc is {_shown(content['nc'])}, not the number of classes")
    return count


def _name(path: Path, value: Any) -> str:
    name = _text(value)
    if not name or is_nothing(value):
        raise ValueError(f"{path}: names holds {_shown(value)}, which is no name of a class")
    return name


def _number(path: Path, key: str) -> int:
    number = whole_number(key, Otherwise())
    if number is None or not 0 <= number < _MOST_POINTS:
        raise ValueError(
            f"{path}: names has the key {short(key)}; each must be the number of a class, from 0"
        )
    return number


def _points(path: Path, content: Mapping[str, Any]) -> Points:
    """Return the keypoints by kpt_shape, flip_idx and kpt_names; no names if there are none."""
    shape = content.get("kpt_shape")
    if shape is None or is_nothing(shape):
        return Points()
    sides = [_whole(each) for each in shape] if isinstance(shape, list) else []
    count, values = sides if len(sides) == 2 else (None, None)
    if count is None or values not in (2, 3) or not 0 < count <= _MOST_POINTS:
        raise ValueError(
            f"{path}: kpt_shape is {_shown(shape)}, not [number of points, 2 or 3 numbers of each]"
        )
    order = _flip_order(path, content.get("flip_idx"), count)
    names = _given_names(content.get("kpt_names"), order or tuple(range(count)))
    return Points(names or _named_by_side(order or range(count)), values, order is not None)


def _flip_order(path: Path, value: Any, count: int) -> tuple[int, ...] | None:
    """Return the index of the point that replaces each in a mirrored picture, None if not given."""
    if value is None or is_nothing(value):
        return None
    found = [_whole(each) for each in value] if isinstance(value, list) else []
    order = tuple(each for each in found if each is not None)
    if sorted(order) != list(range(count)) or len(order) < len(found):
        raise ValueError(
            f"{path}: flip_idx is {_shown(value)}; for the {count} points of kpt_shape it must "
            f"hold each number from 0 to {count - 1} once"
        )
    lonely = [number for number, other in enumerate(order) if order[other] != number]
    if lonely:
        raise ValueError(
            f"{path}: flip_idx says that point {lonely[0]} becomes {order[lonely[0]]} in a "
            f"mirrored picture, and that one {order[order[lonely[0]]]}; two points must swap"
        )
    return order


def _named_by_side(order: Sequence[int]) -> tuple[str, ...]:
    """Return names by which ``KeypointLayout`` mirrors the points as ``order`` says.

    Of a pair the first counts as the left one, as with COCO's people.
    """
    return tuple(
        f"point_{number + 1}"
        if other == number
        else f"{'left' if number < other else 'right'}_{min(number, other) + 1}"
        for number, other in enumerate(order)
    )


def _given_names(value: Any, order: tuple[int, ...]) -> tuple[str, ...]:
    """Return the names of kpt_names, or () if they are missing or mirror otherwise than ``order``.

    Ultralytics has a list of them for each class.
    """
    lists = list(value.values()) if isinstance(value, dict) else [value]
    first = lists[0] if lists and isinstance(lists[0], list) else []
    names = tuple(str(_text(each)) for each in first)
    if any(each != first for each in lists) or len(set(names)) != len(order) or "" in names:
        return ()
    try:
        return names if KeypointLayout(names).flip_order() == order else ()
    except ValueError:
        return ()


def _texts(path: Path, key: str, value: Any) -> tuple[str, ...]:
    """Return a path or a list of paths; () for nothing."""
    values = value if isinstance(value, list) else [value]
    texts = [_text(each) for each in values if not is_nothing(each)]
    if None in texts:
        raise ValueError(f"{path}: {key} is {_shown(value)}, not a path or a list of paths")
    return tuple(text for text in texts if text)


def _text(value: Any) -> str | None:
    """Return a scalar as it was written, or None if it is a list or a section."""
    if isinstance(value, Written):
        return value.text
    return value.strip() if isinstance(value, str) else None


def is_nothing(value: Any) -> bool:
    """Whether ``value`` of a YAML file is empty or null."""
    return value == "" or (isinstance(value, Written) and value.value is None)


def _whole(value: Any) -> int | None:
    return whole_number(_text(value), Otherwise())


def _shown(value: Any) -> str:
    """Return ``value`` for a message, with scalars as they were written."""
    if isinstance(value, list):
        items = [_text(each) or "..." for each in value[:6]] + ["..."] * (len(value) > 6)
        return f"[{', '.join(items)}]"
    text = _text(value)
    return short(value) if text is None else short(text).strip("'") or "empty"
