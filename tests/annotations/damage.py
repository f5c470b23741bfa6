"""Small annotation files, damaged at random, and what must hold of each."""

import copy
import json
import random
from pathlib import Path
from typing import Any

from tests.data.small_coco import write_images

IMAGES = [
    {"id": 1, "file_name": "1.png", "height": 8, "width": 12},
    {"id": 4, "file_name": "4.png", "height": 10, "width": 10},
    {"id": 9, "file_name": "9.png", "height": 7, "width": 9},
]
_POINTS = {"keypoints": ["nose", "left_x", "right_x"], "skeleton": [[1, 2], [2, 3]]}
_CATEGORIES = [
    {"id": 7, "name": "dog", **_POINTS},
    {"id": 3, "name": "cat", **_POINTS},
    {"id": 5, "name": "tree"},
]


def _entry(number: int, image_id: int, segmentation: Any, **fields: Any) -> dict[str, Any]:
    plain = {"bbox": [1, 1, 4, 3], "area": 9, "category_id": 3, "iscrowd": 0}
    points = {"keypoints": [2, 2, 2, 0, 0, 0, 4, 3, 1], "num_keypoints": 2}
    place = {"id": number, "image_id": image_id}
    return {**place, **plain, **points, "segmentation": segmentation, **fields}


def sound_content() -> dict[str, Any]:
    """Return a small file of COCO's format: polygons, both kinds of RLE, crowds, keypoints."""
    square, far = [1, 1, 5, 1, 5, 4, 1, 4], [6, 2, 8.5, 2.25, 7, 6]
    runs = {"size": [10, 10], "counts": [11, 3, 7, 3, 7, 3, 66]}
    text = {"size": [7, 9], "counts": ";3400000h0"}  # 11, 3, 4, 3, 4, 3, 4, 3, 28
    entries = [
        _entry(1, 1, [square]),
        _entry(2, 1, [square, far], category_id=7, bbox=[1, 1, 7.5, 5]),
        _entry(3, 1, [far], bbox=[6, 2, 2.5, 4], area=7.5),
        _entry(4, 4, runs, bbox=[1, 1, 3, 3]),
        _entry(5, 4, {**runs, "counts": [0, 20, 80]}, iscrowd=1, bbox=[0, 0, 2, 10]),
        _entry(6, 4, [square], category_id=5),
        _entry(7, 9, text, bbox=[1, 4, 4, 3]),
        _entry(8, 9, [far], category_id=7, bbox=[6, 2, 2.5, 4]),
    ]
    return copy.deepcopy({"images": IMAGES, "annotations": entries, "categories": _CATEGORIES})


_DEEP = "@deep@"
ODD_VALUES = [
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, 1.5, 1e-300, 1e9, 1e18, 1e308, -1e308, -0.0),
    *(float("nan"), float("inf"), -float("inf"), 2**31, 2**32 - 1, 2**62, 2**63, 2**64, -(2**63)),
    *(10**30, 10**400, 65535, 20_000, 1e7, 1.0, 8, 12),
    *(
        "",
        "0",
        "7",
        "1.5",
        "1e5",
        "nan",
        "false",
        "maybe",
        "1.png",
        "\ud800",
        "a\0b",
        "é",
        "x" * 999,
    ),
    *([], {}, [[]], [None], [{}], {"size": [8, 12]}, {"size": [10, 10], "counts": ""}),
    *([[1, 1, 5, 1, 5, 4]], [1, 1, 5, 1, 5, 4], [1, 1, 4, 3], [0, 0, 12, 8, 0.5], [0, 0, 1e308, 1]),
    *([[0, 0, 1e9, 0, 1e9, 5]], [[0, 0, 1e18, 0, 5, 5]], [[0, 0, 30, 0, 50, 500] * 300]),
    *({"size": [10, 10], "counts": "0"}, {"size": [10, 10], "counts": [100]}),
    *({"size": [10, 10], "counts": [5, 0, 5, 90]}, {"size": [10, 10], "counts": [0, 0, 50, 50]}),
    *({"size": [65535, 65535], "counts": [1, 1, 65535**2 - 2]}, [1, 1, 2] * 3, [0, 0, 0] * 3),
    *('}, {"id": 3}', '"annotations": [', '[{"annotations": [1]}]', _DEEP),
]


def damage(content: dict[str, Any], rng: random.Random) -> bytes:
    """Return ``content`` as JSON text with some damages, drawn by ``rng``."""
    for _ in range(rng.randint(0, 4)):
        _damage_value(content, rng)
    text = json.dumps(content, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1]))
    depth = rng.choice([3, 200, 2000, 100_000])
    data = text.replace(f'"{_DEEP}"', "[" * depth + "]" * depth).encode("utf-8", "surrogatepass")
    return _damage_text(data, rng)


def _damage_value(content: dict[str, Any], rng: random.Random) -> None:
    """Change something somewhere in ``content``, in place."""
    places = list(_places(content))
    if not places:
        return
    holder, key = rng.choice(places)
    value = holder[key]
    kind = rng.randrange(7)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[key] = str(value)
    elif kind == 2 and isinstance(value, list):
        holder[key] = value[::-1] if rng.random() < 0.5 else value * rng.choice([0, 2, 3])
    elif kind == 3 and isinstance(holder, list):
        holder.append(copy.deepcopy(value))
    elif kind == 4:
        other, name = rng.choice(places)
        holder[key] = copy.deepcopy(other[name]) if name in _keys(other) else None
    elif kind == 5 and isinstance(value, int | float):
        holder[key] = value * rng.choice([-1, 2, 100, 0.01, 1e-9, 1e6]) + rng.choice([0, 1])
    else:
        holder[key] = copy.deepcopy(rng.choice(ODD_VALUES))


def _keys(holder: Any) -> Any:
    return holder if isinstance(holder, dict) else range(len(holder))


def _places(holder: Any) -> Any:
    """Yield (list or object, index or key) of each value inside of ``holder``."""
    for key in list(_keys(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _places(holder[key])


def _damage_text(data: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(12)
    if kind == 0:
        return data[: rng.randrange(len(data))]
    if kind == 1:
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        return bytes(changed)
    if kind == 2:
        start, end = sorted(rng.randrange(len(data)) for _ in range(2))
        return data[:start] + data[end:] if rng.random() < 0.5 else data[:end] + data[start:]
    if kind == 3:
        return b"\xef\xbb\xbf" + data
    if kind == 4:
        return data.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass")
    return data


def write_pictures(folder: Path) -> Path:
    """Write the pictures that the sound content names, and return their folder."""
    write_images(folder / "images", IMAGES)
    return folder / "images"
