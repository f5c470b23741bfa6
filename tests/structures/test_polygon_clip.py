import numpy as np
import pytest

from pet.structures.polygon_clip import clip_polygon


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def corners(polygon: np.ndarray) -> set[tuple[float, float]]:
    return {(x, y) for x, y in polygon.tolist()}


def test_a_polygon_inside_stays_the_same_object():
    polygon = np.array([(0.0, 0.0), (4.0, 0.5), (2.0, 3.0)])
    assert clip_polygon(polygon, (3, 4)) is polygon


def test_a_square_over_a_corner():
    square = np.array([(2.0, 1.0), (6.0, 1.0), (6.0, 5.0), (2.0, 5.0)])
    assert corners(clip_polygon(square, (3, 4))) == {(2, 1), (4, 1), (4, 3), (2, 3)}


def test_a_triangle_by_hand():
    """Its two sides to (0, 4) cross the column 3 a quarter of the way from (4, 0) and (4, 8)."""
    triangle = np.array([(4.0, 0.0), (4.0, 8.0), (0.0, 4.0)])
    clipped = clip_polygon(triangle, (9, 3))
    assert corners(clipped) == {(3, 1), (3, 7), (0, 4)}


def test_the_window_inside_a_polygon():
    around = np.array([(-5.0, -5.0), (20.0, -5.0), (20.0, 20.0), (-5.0, 20.0)])
    assert corners(clip_polygon(around, (3, 4))) == {(0, 0), (4, 0), (4, 3), (0, 3)}


@pytest.mark.parametrize(
    "shift", [(10.0, 0.0), (-10.0, 0.0), (0.0, 10.0), (0.0, -10.0), (9.0, 9.0)]
)
def test_nothing_is_left_outside(shift):
    square = np.array([(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)])
    assert clip_polygon(square + shift, (5, 5)).shape == (0, 2)


def test_parts_that_are_joined_keep_their_area():
    """A comb whose back lies outside falls into three teeth of 1 x 2."""
    comb = [(0, 5), (0, 2), (1, 2), (1, 4), (2, 4), (2, 2), (3, 2), (3, 4), (4, 4), (4, 2), (5, 2)]
    clipped = clip_polygon(np.array([*comb, (5, 5)], float), (4, 5))
    assert area(clipped) == 6


def test_areas_add_up():
    """The parts of a polygon on both sides of a line have its area together."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radii = rng.uniform(2, 10, 9)[:, None]  # not convex
        polygon = 10 + radii * np.stack((np.cos(angles), np.sin(angles)), axis=1)
        at = int(rng.integers(0, 21))
        left, right = clip_polygon(polygon, (20, at)), clip_polygon(polygon - (at, 0), (20, 20))
        assert area(left) + area(right) == pytest.approx(area(polygon))
