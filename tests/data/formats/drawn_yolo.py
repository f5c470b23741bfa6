"""A YOLO data set of drawn pictures: boxes of squares, and polygons of triangles."""

from pathlib import Path

import numpy as np

from tests.data.formats.drawn_shapes import NAMES, Picture, Shape, Size, draw

DATA_YAML = """\
path: .
train: images/train
val: images/val
names:
  0: square
  1: triangle
"""


def draw_yolo(
    folder: Path, count: int = 4, size: Size = (48, 64), seed: int = 0
) -> dict[str, list[Picture]]:
    """Write data.yaml, images/ and labels/ into ``folder``; ``count`` pictures in train and val.

    Returns the pictures of each; the last of each has no shapes and no label file.
    """
    parts = {}
    for number, part in enumerate(("train", "val")):
        parts[part] = draw(folder / "images" / part, count, size, 2 * seed + number)
        labels = folder / "labels" / part
        labels.mkdir(parents=True, exist_ok=True)
        for picture in parts[part]:
            if picture.shapes:
                text = "".join(f"{line(shape, size)}\n" for shape in picture.shapes)
                (labels / f"{picture.path.stem}.txt").write_text(text)
    (folder / "data.yaml").write_text(DATA_YAML)
    return parts


def line(shape: Shape, size: Size) -> str:
    """Return the label line of a shape."""
    sides = np.array(size[::-1], np.float64)
    if shape.name == "square":
        low, high = shape.corners.min(axis=0) / sides, shape.corners.max(axis=0) / sides
        values = [*((low + high) / 2), *(high - low)]
    else:
        values = (shape.corners / sides).reshape(-1)
    return " ".join([str(NAMES.index(shape.name)), *(f"{value:.6f}" for value in values)])
