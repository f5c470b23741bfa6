"""Captions on filled patches: fonts for their letters, and positions with little overlap."""

import logging
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.font_manager import fontManager
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

_logger = logging.getLogger(__name__)

Color = tuple[int, int, int]  # blue, green, red, 0..255
Place = tuple[int, int, int, int]  # x1, y1, x2, y2 in whole pixels

_BUNDLED_FONT = str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
_DARK, _LIGHT = (16, 16, 16), (255, 255, 255)


@lru_cache(maxsize=1024)
def find_font(text: str) -> str | None:
    """Return the path of a font with every letter of ``text``, or None if there is none.

    Matplotlib's DejaVu Sans covers Latin, Greek and Cyrillic. For other scripts the system's fonts
    are searched in order of path.
    """
    letters = {ord(letter) for letter in text if not letter.isspace()}
    for path in (_BUNDLED_FONT, *_system_fonts()):
        if letters <= _letters(path):
            return path
    _warn_of_fonts()
    return None


@cache
def _warn_of_fonts() -> None:
    """Warn once about missing fonts; the cache suppresses repeated warnings."""
    _logger.warning(
        "no font of this system has all letters of some class names, so pictures say the number "
        "of the class; for Chinese, Japanese and Korean install the package fonts-noto-cjk"
    )


@cache
def _system_fonts() -> tuple[str, ...]:
    """Return the system's upright fonts, without fallback fonts that draw a box for each letter."""
    return tuple(
        sorted(
            {
                entry.fname
                for entry in fontManager.ttflist
                if entry.style == "normal"
                and entry.weight == 400
                and "LastResort" not in entry.name.replace(" ", "")
            }
        )
    )


@cache
def _letters(path: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()  # a broken system font has no letters


@lru_cache(maxsize=16)
def _load(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


def render_label(text: str, size: int, color: Color) -> np.ndarray:
    """Return ``text`` on a patch of ``color``, in black or white, whichever has more contrast.

    ``size`` is that of the font in pixels. The patch is (height, width, 3) uint8 BGR with a dark
    border.
    """
    font = _load(find_font(text) or _BUNDLED_FONT, size)
    left, _, right, _ = font.getbbox(text)
    ascent, descent = font.getmetrics()
    margin = max(size // 6, 2)
    blue, green, red = color
    # Luma of ITU-R BT.601, 0..255. Black has more contrast even below the middle of the range.
    ink = _DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else _LIGHT
    shape = (int(right - left) + 2 * margin + 2, ascent + descent + 2)
    patch = Image.new("RGB", shape, (red, green, blue))
    draw = ImageDraw.Draw(patch)
    draw.rectangle((0, 0, shape[0] - 1, shape[1] - 1), outline=_DARK)
    draw.text((margin + 1 - left, 1), text, fill=ink, font=font)
    return np.asarray(patch)[:, :, ::-1]


def place_labels(
    boxes: Sequence[Sequence[float]],
    shapes: Sequence[tuple[int, int]],
    picture: tuple[int, int],
) -> list[Place]:
    """Return a place for the label of each box, so that labels overlap little.

    ``boxes`` xyxy and ``shapes`` (height, width) of the labels are in pixels of a ``picture``
    (height, width). Every place lies inside the picture; a label that is too large is cut at the
    right and lower edges. Earlier labels choose first.
    """
    taken: list[Place] = []
    for box, shape in zip(boxes, shapes, strict=True):
        best, least = None, float("inf")
        for place in _candidates(box, shape, picture):
            overlap = sum(_intersection(place, other) for other in taken)
            if overlap < least:
                best, least = place, overlap
            if not overlap:
                break
        assert best is not None
        taken.append(best)
    return taken


def _candidates(
    box: Sequence[float], shape: tuple[int, int], picture: tuple[int, int]
) -> Iterator[Place]:
    """Yield places for a label, best first: outside the box's corners, inside, along its sides."""
    height, width = min(shape[0], picture[0]), min(shape[1], picture[1])
    x1, y1, x2, y2 = (round(side) for side in box)
    corners = ((x1, y1 - height), (x1, y2), (x2 - width, y1 - height), (x2 - width, y2))
    inside = ((x1, y1), (x2 - width, y1), (x1, y2 - height), (x2 - width, y2 - height))
    sides = tuple(
        (x, y1 + step * height) for step in range(1, 9) for x in (x1, x2 - width, x1 - width, x2)
    )
    for x, y in corners + inside + sides:
        x = min(max(x, 0), picture[1] - width)
        y = min(max(y, 0), picture[0] - height)
        yield x, y, x + width, y + height


def _intersection(one: Place, other: Place) -> int:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)
