"""Flaws of annotations, and their remedies.

Vectors over M annotations and G polygons; sizes are height and width in pixels.
"""

from dataclasses import dataclass

import numpy as np

#: The largest plausible coordinate of a box or point, in pixels.
LARGEST_COORDINATE = 1e7
#: Coordinates of a polygon may be up to this many times the longer side of its image (+ 1000).
_REACH = 4
#: The largest perimeter of a polygon, in pixels, and relative to that of its image, which may be
#: enlarged: rasterising a polygon costs memory in proportion to its perimeter.
_LONGEST_PERIMETER, _MOST_TURNS = 4e6, 500
_POOR_BOX = 16  # pixels


@dataclass(frozen=True)
class Flaw:
    """A reason not to use an annotation."""

    what: str  # continues "annotations with "
    remedy: str = ""  # advice


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
    NO_SEGMENTATION: Flaw(
        "no segmentation",
        "give polygons or an RLE, or train on boxes alone: MODEL.MASK_ON False",
    ),
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
    """Return (M,) uint8: the flaw of each of ``boxes`` (M, 4), or 0.

    ``read`` (M,) are flaws found while reading, which are kept; ``sizes`` (M, 2) are those of the
    images, 0 if unknown.
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
    """Return (M,) bool: which of ``corners`` (M, 4) have no area in float32, as in training."""
    x1, y1, x2, y2 = corners.astype(np.float32).T
    return (x2 <= x1) | (y2 <= y1)


def polygon_flaws(bounds: np.ndarray, perimeters: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return (G,) uint8: the flaw of each polygon, or 0.

    ``bounds`` (G, 4) are their x1, y1, x2, y2; ``perimeters`` (G,) are in pixels; ``sizes`` (G, 2)
    are those of their images.
    """
    flaws = np.zeros(len(bounds), np.uint8)
    rows, columns = sizes.T
    x1, y1, x2, y2 = bounds.T
    known = (rows > 0) & (columns > 0)
    outside = (x1 >= columns) | (y1 >= rows) | (x2 <= 0) | (y2 <= 0)
    flaws[known & outside] = POLYGON_OUTSIDE
    around = 2.0 * (rows + columns)
    reach = np.where(known, _REACH * np.maximum(rows, columns) + 1000.0, LARGEST_COORDINATE)
    longest = np.where(known, _MOST_TURNS * around, _LONGEST_PERIMETER)
    far = (np.abs(bounds) > np.minimum(reach, LARGEST_COORDINATE)[:, None]).any(axis=1)
    far |= perimeters > np.minimum(longest, _LONGEST_PERIMETER)
    flaws[far] = FAR_AWAY
    return flaws


def doubts(
    *,
    boxes: np.ndarray,
    sizes: np.ndarray,
    mask_bounds: np.ndarray,
    usable: np.ndarray,
) -> np.ndarray:
    """Return (M,) uint8: bits for valid but implausible values of boxes and masks.

    ``mask_bounds`` (M, 4) are x1, y1, x2, y2 around the masks, NaN for no mask; ``usable`` (M,)
    bool: boxes without a flaw.
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
    """Return (M,) bool: implausible areas.

    These are negative areas, and areas of up to one pixel in a much larger box, which tools write
    that do not compute areas.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        return (areas < 0) | ((areas <= 1) & (boxes[:, 2] * boxes[:, 3] > _POOR_BOX))
