"""Outlines of pixel masks: polygons along pixel edges that rasterise back to the same pixels.

Corners are whole numbers, x and y, from the top left corner of the mask.
"""

import numpy as np

from pet.utils.opencv import cv2

Corner = tuple[int, int]

# Directions along the edges, clockwise on the screen: right, down, left, up.
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def mask_to_polygons(mask: np.ndarray) -> list[list[int]]:
    """Return the outlines of ``mask`` (height, width) bool, each as [x, y, x, y, ...].

    Every 4-connected part has its own polygon. A part with a hole is cut in two at a column of the
    hole, as COCO's polygons have no holes. Together the polygons cover each pixel of the mask once.
    """
    polygons = []
    for part, x, y in _parts(mask.astype(np.uint8)):
        column = _hole_column(part)
        if column is None:
            corners = _trace(part)
            polygons.append([value for a, b in corners for value in (a + x, b + y)])
            continue
        for half, start in ((part[:, :column], 0), (part[:, column:], column)):
            for polygon in mask_to_polygons(half):
                shift = [x + start, y] * (len(polygon) // 2)
                polygons.append([a + b for a, b in zip(polygon, shift, strict=True)])
    return polygons


def _parts(mask: np.ndarray) -> list[tuple[np.ndarray, int, int]]:
    """Return each 4-connected part of ``mask``, cut out, with its first column and row."""
    count, part_of, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    parts = []
    for part in range(1, count):
        x, y, width, height = stats[part, :4].tolist()
        window = part_of[y : y + height, x : x + width]
        parts.append(((window == part).astype(np.uint8), x, y))
    return parts


def _hole_column(part: np.ndarray) -> int | None:
    """Return the middle column of a hole of ``part``, or None if it has none.

    A background that meets the outside at a corner is no hole: its outline joins the outer one.
    """
    outside = np.pad(1 - part, 1, constant_values=1)
    count, region_of, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=8)
    for region in range(1, count):
        if region != region_of[0, 0]:
            x, width = stats[region, 0], stats[region, 2]
            return int(x + width // 2) - 1
    return None


def _trace(part: np.ndarray) -> list[Corner]:
    """Return the corners of the outline of a part without holes, clockwise."""
    edges = _edges(part)
    # The top of the leftmost column: one edge leaves it, to the right.
    start, direction = min(edges), 0
    x, y = start
    corners: list[Corner] = []
    while not corners or (x, y) != start:
        corners.append((x, y))
        x, y = x + _STEPS[direction][0], y + _STEPS[direction][1]
        while edges[x, y] == [direction]:
            x, y = x + _STEPS[direction][0], y + _STEPS[direction][1]
        # Where two pixels touch at a corner only, turning right stays with the same pixel.
        right = (direction + 1) % 4
        direction = right if right in edges[x, y] else edges[x, y][0]
    return corners


def _edges(part: np.ndarray) -> dict[Corner, list[int]]:
    """Return, for each corner, the directions of the edges that leave it, the part on the right."""
    padded = np.pad(part, 1).astype(bool)
    inside = padded[1:-1, 1:-1]
    edges: dict[Corner, list[int]] = {}
    # The side of a pixel without a neighbour, and the corner at which that edge begins.
    for direction, (neighbour, shift_x, shift_y) in enumerate(
        (
            (padded[:-2, 1:-1], 0, 0),
            (padded[1:-1, 2:], 1, 0),
            (padded[2:, 1:-1], 1, 1),
            (padded[1:-1, :-2], 0, 1),
        )
    ):
        rows, columns = np.nonzero(inside & ~neighbour)
        for x, y in zip((columns + shift_x).tolist(), (rows + shift_y).tolist(), strict=True):
            edges.setdefault((x, y), []).append(direction)
    return edges
