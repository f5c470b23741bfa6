"""A labelme data set of drawn pictures: rectangles of squares, and polygons of triangles."""

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.data.formats.drawn_shapes import Picture, Shape, Size, draw


def draw_labelme(
    folder: Path, count: int = 4, size: Size = (48, 64), seed: int = 0
) -> list[Picture]:
    """Write ``count`` pictures into ``folder``, and a JSON file beside each but the last."""
    pictures = draw(folder, count, size, seed)
    for picture in pictures:
        if picture.shapes:
            shapes = [shape_of(shape) for shape in picture.shapes]
            write_json(picture.path.with_suffix(".json"), shapes, picture.path.name, size)
    return pictures


def shape_of(shape: Shape) -> dict[str, Any]:
    """Return a shape as labelme writes it."""
    corners = shape.corners.astype(float).tolist()
    if shape.name == "square":
        return entry(shape.name, [corners[0], corners[2]], "rectangle")
    return entry(shape.name, corners, "polygon")


def entry(label: str, points: Any, kind: str, group: Any = None, **more: Any) -> dict[str, Any]:
    found = {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": {}}
    return {**found, **more}


def write_json(path: Path, shapes: list, image_path: str, size: Size, **more: Any) -> Path:
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": size[0],
        "imageWidth": size[1],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**content, **more}), encoding="utf-8")
    return path


def mask_text(bits: np.ndarray) -> str:
    """Return a mask (height, width) as labelme writes it."""
    return base64.b64encode(cv2.imencode(".png", bits.astype(np.uint8))[1].tobytes()).decode()
