import numpy as np
import pycocotools.mask as coco_mask
import pytest

from pet.data.datasets.mask_polygons import mask_to_polygons


def _mask(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


def _rasterise(polygons, shape):
    """Return how many of the polygons cover each pixel."""
    covered = np.zeros(shape, int)
    for polygon in polygons:
        rle = coco_mask.frPyObjects([polygon], *shape)
        covered += coco_mask.decode(rle)[:, :, 0]
    return covered


def test_square_by_hand():
    assert mask_to_polygons(_mask("....", ".##.", ".##.")) == [[1, 1, 3, 1, 3, 3, 1, 3]]


def test_only_corners_are_kept():
    assert mask_to_polygons(_mask("##", "#.")) == [[0, 0, 2, 0, 2, 1, 1, 1, 1, 2, 0, 2]]


@pytest.mark.parametrize(
    ("mask", "parts"),
    [
        (_mask("....", "...."), 0),
        (_mask("#.", ".#"), 2),  # corners do not join
        (_mask("###", "#.#", "###"), 2),  # a hole cuts in two
        (_mask("#####", "#.#.#", "#####"), 3),
        (_mask("##.", "#.#", "###"), 1),  # a bay that is open at a corner only
        (_mask("#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######"), 4),
    ],
)
def test_parts_and_holes(mask, parts):
    polygons = mask_to_polygons(mask)
    assert len(polygons) == parts
    assert np.array_equal(_rasterise(polygons, mask.shape), mask)


def test_any_mask_comes_back_from_cocos_rasteriser():
    rng = np.random.default_rng(0)
    for _ in range(400):
        shape = tuple(rng.integers(1, 12, 2).tolist())
        mask = rng.random(shape) < rng.choice([0.3, 0.6, 0.9])
        assert np.array_equal(_rasterise(mask_to_polygons(mask), shape), mask)
