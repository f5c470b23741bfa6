"""Drawing pictures of shapes: several classes, many sizes, overlapping, on textured ground."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pet.utils.opencv import cv2

_LONG_SIDE = (176, 240)  # pixels, both ends included
_SHORT_SIDE = (144, 184)
_DIAMETER = (32, 120)  # of the circle around a shape, in pixels
_MAX_TILT = math.radians(20)  # from upright, to either side
_COUNT = (2, 6)  # shapes that are tried, in a picture
_TRIES = 12  # places tried for each of them
_LEAST_VISIBLE = 0.5  # fraction of its pixels that every shape keeps to the end
_LEAST_PIXELS = 80
_LEAST_INSIDE = 0.85  # fraction of a shape's pixels that lie in the picture
_LEAST_CONTRAST = 55.0  # distance in CIELAB between a shape and its ground

_SHIFT = 4  # binary digits behind the point of the corners that OpenCV draws


@dataclass(frozen=True)
class Picture:
    """A picture and the visible pixels of its shapes; N shapes, at least one."""

    image: np.ndarray  # (height, width, 3) uint8, BGR
    labels: list[int]  # N, places in CLASS_NAMES plus 1
    masks: list[np.ndarray]  # N x (height, width) bool; no pixel is in two of them


def _star_points(inner: float, points: int) -> np.ndarray:
    angles = np.arange(2 * points) * np.pi / points
    radii = np.where(np.arange(2 * points) % 2, inner, 1.0)
    return np.stack((radii * np.sin(angles), -radii * np.cos(angles)), axis=1)


def _cross_points(arm: float) -> np.ndarray:
    quarter = np.array([(arm, -1.0), (arm, -arm), (1.0, -arm)])
    turn = np.array([(0.0, 1.0), (-1.0, 0.0)])  # a quarter turn of row vectors
    parts = [quarter @ np.linalg.matrix_power(turn, number) for number in range(4)]
    return np.concatenate(parts) / math.hypot(1.0, arm)


#: Class name -> its outline (n, 2), x and y within the unit circle; in the order of the labels.
_OUTLINES: dict[str, np.ndarray] = {
    "circle": _star_points(1.0, 36),
    "cross": _cross_points(0.36),
    "square": np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]) / math.sqrt(2.0),
    "star": _star_points(0.45, 5),
    "triangle": _star_points(0.5, 3),
}
CLASS_NAMES = tuple(_OUTLINES)


def draw_picture(rng: np.random.Generator) -> Picture:
    """Draw one picture; everything about it comes from ``rng``.

    A shape is put down only where it hides no earlier one too much.
    """
    size = _picture_size(rng)
    image, ground = _draw_ground(size, rng)
    top = np.zeros(size, np.int32)  # number of the topmost shape at each pixel, from 1
    labels: list[int] = []
    areas: list[int] = []
    wanted = int(rng.integers(_COUNT[0], _COUNT[1] + 1))
    for _ in range(wanted * _TRIES):
        if len(labels) == wanted:
            break
        label = int(rng.integers(len(CLASS_NAMES))) + 1
        corners = _place(CLASS_NAMES[label - 1], size, rng)
        mask = _fill(corners, size)
        if not _fits(mask, corners, top, areas):
            continue
        labels.append(label)
        areas.append(int(mask.sum()))
        top[mask] = len(labels)
        _paint(image, mask, corners=corners, colour=_pick_colour(ground, rng), rng=rng)
    return Picture(_finish(image, rng), labels, [top == n + 1 for n in range(len(labels))])


def _picture_size(rng: np.random.Generator) -> tuple[int, int]:
    long = int(rng.integers(_LONG_SIDE[0], _LONG_SIDE[1] + 1))
    short = int(rng.integers(_SHORT_SIDE[0], _SHORT_SIDE[1] + 1))
    return (long, short) if rng.random() < 0.5 else (short, long)


def _place(name: str, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return the corners (n, 2) of a shape, turned, scaled and moved into the picture."""
    radius = 0.5 * math.exp(rng.uniform(math.log(_DIAMETER[0]), math.log(_DIAMETER[1])))
    angle = rng.uniform(-_MAX_TILT, _MAX_TILT)
    cos, sin = math.cos(angle), math.sin(angle)
    turned = _OUTLINES[name] @ np.array([(cos, sin), (-sin, cos)])
    margin = 0.7 * radius
    centre = [rng.uniform(margin, side - margin) for side in (size[1], size[0])]
    return turned * radius + np.array(centre)


def _fill(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    canvas = np.zeros(size, np.uint8)
    cv2.fillPoly(canvas, [_fixed_point(corners)], 1, shift=_SHIFT)
    return canvas.astype(bool)


def _fixed_point(corners: np.ndarray) -> np.ndarray:
    # OpenCV counts from the centre of the first pixel, we count from its corner.
    return np.round((corners - 0.5) * 2**_SHIFT).astype(np.int32)


def _fits(mask: np.ndarray, corners: np.ndarray, top: np.ndarray, areas: list[int]) -> bool:
    """Whether a new shape is in the picture and leaves enough of every earlier one."""
    area = int(mask.sum())
    whole = cv2.contourArea(corners.astype(np.float32))
    if area < max(_LEAST_PIXELS, _LEAST_INSIDE * whole):
        return False
    left = np.bincount(top[~mask], minlength=len(areas) + 1)[1:]
    least = np.maximum(_LEAST_VISIBLE * np.array(areas), _LEAST_PIXELS)
    return bool((left >= least).all())


def _pick_colour(ground: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a BGR colour (3,) float that stands out against the colour ``ground``."""
    while True:
        colour = _draw_colour((70, 240), (70, 250), rng)
        if np.linalg.norm(_to_lab(colour) - _to_lab(ground)) >= _LEAST_CONTRAST:
            return colour


def _draw_colour(
    saturation: tuple[int, int], value: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Return a BGR colour (3,) float64 of any hue; saturation and value in 0..255, in ranges."""
    pixel = np.array([[(rng.integers(180), rng.integers(*saturation), rng.integers(*value))]])
    return cv2.cvtColor(pixel.astype(np.uint8), cv2.COLOR_HSV2BGR)[0, 0].astype(np.float64)


def _to_lab(colour: np.ndarray) -> np.ndarray:
    pixel = (colour / 255.0).astype(np.float32).reshape(1, 1, 3)
    return cv2.cvtColor(pixel, cv2.COLOR_BGR2Lab)[0, 0]


def _paint(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    corners: np.ndarray,
    colour: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Paint a shape into ``image`` in place: a textured fill and a darker or lighter rim."""
    height, width = mask.shape
    fill = colour + 0.2 * _texture((height, width), rng)[:, :, None]
    image[mask] = fill[mask]
    rim = np.zeros(mask.shape, np.uint8)
    cv2.polylines(rim, [_fixed_point(corners)], True, 1, shift=_SHIFT)
    factor = 0.55 if colour.mean() > 110 else 1.6
    image[mask & rim.astype(bool)] = np.clip(colour * factor, 0, 255)


def _draw_ground(size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the empty picture (height, width, 3) float64 and its mean colour (3,)."""
    colour = _draw_colour((10, 120), (60, 230), rng)
    tint = rng.uniform(0.5, 1.0, 3)
    image = colour + _texture(size, rng)[:, :, None] * tint
    return image, colour


def _texture(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return one of several patterns, (height, width) float64, roughly within -40..40."""
    pattern = _PATTERNS[int(rng.integers(len(_PATTERNS)))]
    return pattern(size, rng) * rng.uniform(8.0, 20.0)


def _clouds(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    total = np.zeros(size)
    for cells, weight in ((3, 1.0), (8, 0.6), (24, 0.35)):
        grid = rng.uniform(-1.0, 1.0, (cells, cells))
        total += weight * cv2.resize(grid, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return total


def _wave(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    angle, period = rng.uniform(0.0, np.pi), rng.uniform(8.0, 40.0)
    along = x * math.cos(angle) + y * math.sin(angle)
    return np.sin(2 * np.pi * along / period + rng.uniform(0.0, 2 * np.pi))


def _tiles(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    return np.tanh(4.0 * _wave(size, rng) * _wave(size, rng))


def _slope(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    angle = rng.uniform(0.0, 2 * np.pi)
    along = x * math.cos(angle) + y * math.sin(angle)
    return 3.0 * (along - along.mean()) / max(size)


_PATTERNS: tuple[Callable[[tuple[int, int], np.random.Generator], np.ndarray], ...] = (
    _clouds,
    _wave,
    _tiles,
    _slope,
)


def _finish(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the picture as a camera might give it: slightly soft, with a little noise."""
    soft = cv2.GaussianBlur(image, (3, 3), 0.6)
    return np.clip(np.round(soft + rng.normal(0.0, 3.0, image.shape)), 0, 255).astype(np.uint8)
