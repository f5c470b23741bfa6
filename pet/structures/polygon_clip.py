"""Clipping a polygon to a rectangle."""

import numpy as np


def clip_polygon(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the part of ``polygon`` (n, 2) float64, x and y, that lies in (0, 0) to ``size``.

    ``size`` is (height, width). The result (m, 2) encloses the same area there; m is 0 if nothing
    is left. The algorithm is that of Sutherland and Hodgman (1974): if a polygon that is not convex
    falls into several parts, edges on the border that enclose no area join them.
    """
    height, width = size
    for axis, limit in ((0, width), (1, height)):
        polygon = _clip_above(polygon, axis, 0.0, 1.0)
        polygon = _clip_above(polygon, axis, float(limit), -1.0)
    return polygon if len(polygon) >= 3 else polygon[:0]


def _clip_above(polygon: np.ndarray, axis: int, limit: float, sign: float) -> np.ndarray:
    """Return the part where the coordinate ``axis``, times ``sign``, is at least the limit's."""
    height = sign * (polygon[:, axis] - limit)
    inside = height >= 0
    if inside.all():
        return polygon
    following, next_height = np.roll(polygon, -1, axis=0), np.roll(height, -1)
    crosses = inside != np.roll(inside, -1)
    ratio = np.zeros(len(polygon))
    ratio[crosses] = height[crosses] / (height - next_height)[crosses]
    crossings = polygon + ratio[:, None] * (following - polygon)
    crossings[:, axis] = limit  # without the rounding error
    # Of each edge: its first corner if inside, then its crossing of the limit if there is one.
    points = np.stack((polygon, crossings), axis=1)
    return points[np.stack((inside, crosses), axis=1)]
