"""What can be wrong with an annotation, and what would do.

Vectors over M annotations and G polygons; sizes are height and width in pixels.
"""

from dataclasses import dataclass

import numpy as np

#: The largest coordinate of a box or point that can be meant, in pixels.
LARGEST_COORDINATE = 1e7
#: A polygon may reach this many sides of its image beyond it.
_REACH = 4
#: The longest outline of a polygon, in pixels, and in turns around its image, which may be drawn
#: larger: drawing one costs memory by its length.
_LONGEST_OUTLINE, _MOST_TURNS = 4e6, 500
_POOR_BOX = 16  # pixels


@dataclass(frozen=True)
class Flaw:
    """A reason not to use an annotation."""

    what: str  # goes on after "annotations with "
    remedy: str = ""  # what would do


NO_BBOX, NOT_FOUR, ROTATED, NO_AREA, OUTSIDE = 1, 2, 3, 4, 5
BOX_FLAWS = {
    NO_BBOX: Flaw("no bbox", "give each a bbox, [x, y, width, height] in pixels"),
    NOT_FOUR: Flaw("a bbox that is not four numbers", "COCO's is [x, y, width, height] in pixels"),
    ROTATED: Flaw(
        "a bbox of five numbers",
        "rotated boxes are not read; give the upright box [x, y, width, height]",
    ),
    NO_AREA: Flaw(
        "a bbox whose width or height is not positive",
        "COCO's is [x, y, width, height], not two corners",
    ),
    OUTSIDE: Flaw("no box inside the image", "boxes count in pixels of the image as declared"),
}

(
    NO_SEGMENTATION,
    OTHER_KIND,
    NO_POLYGON,
    POLYGON_OUTSIDE,
    FAR_AWAY,
    OTHER_SIZE,
    RUNS_DO_NOT_FILL,
    NO_RUN_LENGTH_CODE,
    NO_FOREGROUND,
) = range(1, 10)
MASK_FLAWS = {
    NO_SEGMENTATION: Flaw("no segmentation", "give polygons or an RLE"),
    OTHER_KIND: Flaw("a segmentation that is neither polygons nor an RLE"),
    NO_POLYGON: Flaw("no polygon of three points or more, all finite numbers"),
    POLYGON_OUTSIDE: Flaw(
        "polygons outside of the image", "they count in pixels of the image as declared"
    ),
    FAR_AWAY: Flaw("a polygon that reaches far beyond the image"),
    OTHER_SIZE: Flaw(
        "an RLE of another size than the image", 'its "size" is [height, width], in this order'
    ),
    RUNS_DO_NOT_FILL: Flaw("an RLE whose runs do not add up to the pixels of its size"),
    NO_RUN_LENGTH_CODE: Flaw("an RLE whose counts are no run-length code"),
    NO_FOREGROUND: Flaw("an RLE without any foreground"),
}

NOT_THREE_EACH, NOT_NUMBERS = 1, 2

NORMALISED, BEYOND_IMAGE, TWO_CORNERS, MASK_ELSEWHERE, POOR_AREA = 1, 2, 4, 8, 16


def box_flaws(boxes: np.ndarray, read: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return (M,) uint8: what is wrong with ``boxes`` (M, 4); ``read`` is what was found before.

    ``sizes`` (M, 2) are those of their images, 0 where they are not known.
    """
    flaws = read.copy()
    unmeant = ~(np.abs(boxes) <= LARGEST_COORDINATE).all(axis=1)
    flaws[(flaws == 0) & unmeant] = NOT_FOUR
    corners = np.nan_to_num(boxes, posinf=0, neginf=0).clip(-LARGEST_COORDINATE, LARGEST_COORDINATE)
    corners[:, 2:] += corners[:, :2]
    flaws[(flaws == 0) & _is_empty(corners)] = NO_AREA
    known = (sizes > 0).all(axis=1)
    inside = corners.clip(0, np.tile(sizes[:, ::-1], 2))
    flaws[(flaws == 0) & known & _is_empty(inside)] = OUTSIDE
    return flaws


def _is_empty(corners: np.ndarray) -> np.ndarray:
    """Return (M,) bool: which of ``corners`` (M, 4) have no area as float32, as in training."""
    x1, y1, x2, y2 = corners.astype(np.float32).T
    return (x2 <= x1) | (y2 <= y1)


def polygon_flaws(bounds: np.ndarray, outlines: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return (G,) uint8: what is wrong with polygons of ``bounds`` (G, 4), x1, y1, x2, y2.

    ``outlines`` (G,) are their lengths in pixels; ``sizes`` (G, 2) those of their images.
    """
    flaws = np.zeros(len(bounds), np.uint8)
    rows, columns = sizes.T
    x1, y1, x2, y2 = bounds.T
    known = (rows > 0) & (columns > 0)
    outside = (x1 >= columns) | (y1 >= rows) | (x2 <= 0) | (y2 <= 0)
    flaws[known & outside] = POLYGON_OUTSIDE
    around = 2.0 * (rows + columns)
    reach = np.where(known, _REACH * np.maximum(rows, columns) + 1000.0, LARGEST_COORDINATE)
    longest = np.where(known, _MOST_TURNS * around, _LONGEST_OUTLINE)
    far = (np.abs(bounds) > np.minimum(reach, LARGEST_COORDINATE)[:, None]).any(axis=1)
    far |= outlines > np.minimum(longest, _LONGEST_OUTLINE)
    flaws[far] = FAR_AWAY
    return flaws


def doubts(
    *,
    boxes: np.ndarray,
    sizes: np.ndarray,
    mask_bounds: np.ndarray,
    usable: np.ndarray,
) -> np.ndarray:
    """Return (M,) uint8, bits: what is valid in boxes and masks and yet unlikely to be meant.

    ``mask_bounds`` (M, 4) are x1, y1, x2, y2 around the masks, NaN where there is none; ``usable``
    (M,) bool says which boxes have no flaw.
    """
    x, y, width, height = boxes.T
    rows, columns = sizes.T
    known = usable & (rows > 0) & (columns > 0)
    found = np.zeros(len(boxes), np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        in_first_pixel = (x >= 0) & (y >= 0) & (x + width <= 1) & (y + height <= 1)
        found[known & in_first_pixel & (np.maximum(rows, columns) > 1)] |= NORMALISED
        beyond = (x < -1) | (y < -1) | (x + width > columns + 1) | (y + height > rows + 1)
        found[known & beyond] |= BEYOND_IMAGE
        corners = (width > x) & (height > y) & (width <= columns) & (height <= rows)
        found[known & corners & (x >= 0) & (y >= 0)] |= TWO_CORNERS
        x1, y1, x2, y2 = mask_bounds.T
        shared = np.clip(np.minimum(x2, x + width) - np.maximum(x1, x), 0, None)
        shared *= np.clip(np.minimum(y2, y + height) - np.maximum(y1, y), 0, None)
        inside = shared / np.maximum((x2 - x1) * (y2 - y1), 1e-9)
        found[known & (inside < 0.5) & ~(found & NORMALISED > 0)] |= MASK_ELSEWHERE
    return found


def is_poor_area(areas: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return (M,) bool: areas that cannot be meant.

    Negative ones, and those of up to a pixel in a much larger box, as tools write that know none.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        return (areas < 0) | ((areas <= 1) & (boxes[:, 2] * boxes[:, 3] > _POOR_BOX))
