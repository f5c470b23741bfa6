"""Pictures of a few shapes of two classes, whose boxes and polygons are known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pet.utils.opencv import cv2

#: The classes: a square is annotated by its box, a triangle by its polygon.
NAMES = ("square", "triangle")
Size = tuple[int, int]  # height and width


@dataclass(frozen=True)
class Shape:
    """A shape in whole pixels; ``corners`` (n, 2) are x and y."""

    name: str
    corners: np.ndarray

    @property
    def box(self) -> list[int]:
        """x1, y1, x2, y2."""
        return [*self.corners.min(axis=0).tolist(), *self.corners.max(axis=0).tolist()]


@dataclass(frozen=True)
class Picture:
    """A picture file, and its shapes; the last picture of a folder has none."""

    path: Path
    size: Size
    shapes: tuple[Shape, ...]


def draw(folder: Path, count: int, size: Size, seed: int) -> list[Picture]:
    """Draw ``count`` pictures of ``size`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pictures = []
    for number in range(count):
        shapes = _place(size, rng) if number < count - 1 or count == 1 else ()
        image = np.full((*size, 3), 40, np.uint8)
        for shape in shapes:
            colour = (250, 180, 30) if shape.name == "square" else (40, 60, 250)
            cv2.fillPoly(image, [shape.corners.astype(np.int32)], colour)
        path = folder / f"{number:03d}.png"
        cv2.imwrite(str(path), image)
        pictures.append(Picture(path, size, shapes))
    return pictures


def _place(size: Size, rng: np.random.Generator) -> tuple[Shape, ...]:
    """Return a square in the left half of a picture and a triangle in the right one."""
    height, width = size
    side = int(rng.integers(min(size) // 5, min(size) // 3))
    shapes = []
    for name, left in zip(NAMES, (0, width // 2), strict=True):
        x = left + int(rng.integers(1, width // 2 - side))
        y = int(rng.integers(1, height - side))
        corners = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
        if name == "triangle":
            corners = [(x, y + side), (x + side // 2, y), (x + side, y + side)]
        shapes.append(Shape(name, np.array(corners, np.int64)))
    return tuple(shapes)
