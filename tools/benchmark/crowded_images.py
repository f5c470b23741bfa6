"""Drawn data sets with as many objects and classes as one likes."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pet.utils.opencv import cv2

_SIDES = (12, 120)  # of an object, in pixels


def write_crowded_images(
    folder: Path, *, images: int, size: tuple[int, int], boxes: int, classes: int, seed: int = 0
) -> list[str]:
    """Write ``images`` of ``size`` (height, width), each with ``boxes`` objects, into ``folder``.

    An object is an octagon; it is of one of ``classes`` classes. Returns the config: KEY, value,
    ... of the data set "crowd", on which the config then trains and tests.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    height, width = size
    content: dict[str, Any] = {
        "images": [
            {"id": n, "file_name": f"{n}.jpg", "height": height, "width": width}
            for n in range(1, images + 1)
        ],
        "categories": [{"id": n, "name": f"class {n}"} for n in range(1, classes + 1)],
        "annotations": [],
    }
    for image in content["images"]:
        coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), np.uint8)
        picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(folder / image["file_name"]), picture)
        for _ in range(boxes):
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image["id"],
                    "category_id": int(rng.integers(1, classes + 1)),
                    "iscrowd": 0,
                    **_octagon(rng, size),
                }
            )
    (folder / "crowd.json").write_text(json.dumps(content), encoding="utf-8")
    return [
        *("DATASETS.crowd.IMAGES", str(folder)),
        *("DATASETS.crowd.ANNOTATIONS", str(folder / "crowd.json")),
        *("TRAIN.DATASETS", "('crowd',)", "TEST.DATASETS", "('crowd',)"),
        *("MODEL.NUM_CLASSES", "-1", "MODEL.CLASS_LABELS", "contiguous"),
    ]


def _octagon(rng: np.random.Generator, size: tuple[int, int]) -> dict[str, object]:
    """Return box, area and polygon of an object inside an image of ``size``, in COCO's format."""
    height, width = size
    w, h = rng.uniform(_SIDES[0], [min(_SIDES[1], width), min(_SIDES[1], height)])
    x, y = rng.uniform(0, [width - w, height - h])
    cut = np.array([[1, 0], [2, 0], [3, 1], [3, 2], [2, 3], [1, 3], [0, 2], [0, 1]]) / 3
    points = cut * [w, h] + [x, y]
    return {
        "bbox": [x, y, w, h],
        "area": w * h * 7 / 9,
        "segmentation": [points.round(2).reshape(-1).tolist()],
    }
