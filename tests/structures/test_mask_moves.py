"""Masks that are cut, placed, turned and flipped, as polygons and as pixels."""

import numpy as np
import pycocotools.mask as coco_mask
import pytest

from pet.structures import BitMask, Crop, PolygonMask


def full(mask, size) -> np.ndarray:
    crop, pixels = mask.crop(size), np.zeros(size, np.uint8)
    height, width = crop.bits.shape
    pixels[crop.y : crop.y + height, crop.x : crop.x + width] = crop.bits
    return pixels


def random_bits(rng, density=0.4) -> tuple[BitMask, np.ndarray]:
    pixels = (rng.random(tuple(rng.integers(1, 14, 2).tolist())) < density).astype(np.uint8)
    return BitMask.from_rle(coco_mask.encode(np.asfortranarray(pixels))), pixels


def rectangle(x, y, width, height) -> PolygonMask:
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    return PolygonMask((np.array(corners, float),))


def drawn(rng, size) -> tuple[PolygonMask, np.ndarray]:
    """Return a union of rectangles of whole pixels, of which COCO's rules make just these."""
    pixels, polygons = np.zeros(size, np.uint8), []
    for _ in range(3):
        x, y = int(rng.integers(0, size[1] - 1)), int(rng.integers(0, size[0] - 1))
        width, height = int(rng.integers(1, size[1] - x + 1)), int(rng.integers(1, size[0] - y + 1))
        polygons += rectangle(x, y, width, height).polygons
        pixels[y : y + height, x : x + width] = 1
    return PolygonMask(tuple(polygons)), pixels


@pytest.fixture(params=["polygons", "pixels"])
def make(request):
    """Return a maker of masks, each with its pixels."""

    def draw(rng):
        if request.param == "pixels":
            return random_bits(rng, rng.choice([0.0, 0.1, 0.6, 1.0]))
        return drawn(rng, tuple(rng.integers(2, 14, 2).tolist()))

    return draw


def test_vertical_flip(make):
    rng = np.random.default_rng(0)
    for _ in range(60):
        mask, pixels = make(rng)
        flipped = mask.flip_vertically(len(pixels))
        assert np.array_equal(full(flipped, pixels.shape), pixels[::-1])
        assert np.array_equal(full(flipped.flip_vertically(len(pixels)), pixels.shape), pixels)


def test_quarter_turns(make):
    rng = np.random.default_rng(1)
    for _ in range(60):
        mask, pixels = make(rng)
        for turns in range(1, 5):
            mask = mask.turn(np.rot90(pixels, turns - 1).shape[1])
            turned = np.rot90(pixels, turns)
            assert np.array_equal(full(mask, turned.shape), turned)


def test_cut(make):
    rng = np.random.default_rng(2)
    for _ in range(200):
        mask, pixels = make(rng)
        height, width = (int(rng.integers(1, side + 1)) for side in pixels.shape)
        y = int(rng.integers(pixels.shape[0] - height + 1))
        x = int(rng.integers(pixels.shape[1] - width + 1))
        part = mask.cut(x, y, (height, width))
        assert np.array_equal(full(part, (height, width)), pixels[y : y + height, x : x + width])
        back = full(part.place(x, y, pixels.shape), pixels.shape)
        outside = np.ones(pixels.shape, bool)
        outside[y : y + height, x : x + width] = False
        assert np.array_equal(back, np.where(outside, 0, pixels))


def test_a_mask_of_which_nothing_is_left():
    polygons = rectangle(1, 1, 2, 2).cut(4, 4, (3, 3))
    assert polygons.polygons == () and polygons.crop((3, 3)).bits.size == 0
    pixels = BitMask(Crop(np.ones((2, 2), np.uint8), 1, 1), (8, 8)).cut(4, 4, (3, 3))
    assert pixels.pixels.bits.size == 0 and pixels.size == (3, 3)
    for mask in (polygons, pixels):
        moved = mask.resize(2.0, 2.0).flip(6).flip_vertically(6).turn(6).place(1, 1, (9, 9))
        assert moved.cut(0, 0, (4, 4)).crop((4, 4)).bits.size == 0


def test_clipped_outlines_of_any_shape_have_the_pixels_of_the_window():
    """Except a few on the outline: new corners on the border are rounded to fifths of a pixel."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(100):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
        radii = rng.uniform(4, 30, 12)[:, None]  # not convex
        mask = PolygonMask((30 + radii * np.stack((np.cos(angles), np.sin(angles)), axis=1),))
        x, y, size = *rng.integers(0, 31, 2).tolist(), (30, 25)
        window = full(mask, (60, 60))[y : y + size[0], x : x + size[1]]
        wrong += np.count_nonzero(full(mask.cut(x, y, size), size) != window)
    assert wrong < 150  # of 75000 pixels


def test_the_crop_of_pixels_has_no_empty_border():
    mask = BitMask.around(Crop(np.pad(np.ones((2, 3), np.uint8), 2), 4, 5), (20, 30))
    assert (mask.pixels.x, mask.pixels.y, mask.pixels.bits.shape) == (6, 7, (2, 3))
    assert mask.pixels.bits.flags.f_contiguous
