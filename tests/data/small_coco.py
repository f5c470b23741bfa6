"""Writing small data sets in COCO's format for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pet.data.datasets import CocoDataset
from pet.utils.opencv import cv2

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]
SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]  # the polygon of the box [1, 1, 3, 3]


def image(image_id: int, width: int = 12, height: int = 8) -> dict[str, Any]:
    return {"id": image_id, "file_name": f"{image_id}.png", "width": width, "height": height}


def annotation(number: int, image_id: int, **fields: Any) -> dict[str, Any]:
    plain = {"bbox": [1, 1, 3, 3], "area": 9, "category_id": 3, "segmentation": SQUARE}
    return {"id": number, "image_id": image_id, "iscrowd": 0, **plain, **fields}


def write_annotations(path: Path, images: list, annotations: list, **sections: Any) -> Path:
    content = {
        "images": images,
        "annotations": annotations,
        "categories": CATEGORIES,
        **sections,
    }
    path.write_text(json.dumps(content))
    return path


def write_images(folder: Path, images: list) -> None:
    """Write pictures whose pixels tell their place: blue is the column, green the row."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in images:
        picture = np.zeros((entry["height"], entry["width"], 3), np.uint8)
        picture[:, :, 0] = np.arange(entry["width"])
        picture[:, :, 1] = np.arange(entry["height"])[:, None]
        picture[:, :, 2] = entry["id"] % 256
        cv2.imwrite(str(folder / entry["file_name"]), picture)


def read_small(folder: Path, images: list, annotations: list, **options: Any) -> CocoDataset:
    """Write a data set into ``folder`` and read it for training with masks."""
    write_images(folder / "images", images)
    path = write_annotations(folder / "a.json", images, annotations)
    settings = {"is_train": True, "with_masks": True, **options}
    return CocoDataset("small", folder / "images", path, **settings)
