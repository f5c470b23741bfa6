import numpy as np
import pycocotools.mask as coco_mask
import pytest
import torch

from pet.structures import BitMask, Crop, MaskCrops, PolygonMask
from pet.structures.segmentation import crop_to_rle


def _polygon(*points):
    return np.array(points, np.float64)


def _paste(crop, size):
    full = np.zeros(size, np.uint8, order="F")
    height, width = crop.bits.shape
    full[crop.y : crop.y + height, crop.x : crop.x + width] = crop.bits
    return full


def _random_mask(rng, density):
    shape = tuple(rng.integers(1, 14, 2).tolist())
    return np.asfortranarray(rng.random(shape) < density).astype(np.uint8, order="F")


# Polygons


def test_a_polygon_by_hand():
    crop = PolygonMask((_polygon((2, 1), (5, 1), (5, 3), (2, 3)),)).crop((6, 8))
    assert (crop.x, crop.y, crop.bits.tolist()) == (2, 1, [[1, 1, 1]] * 2)


def test_polygons_are_united():
    left, right = (_polygon((x, 0), (x + 2, 0), (x + 2, 2), (x, 2)) for x in (0, 3))
    crop = PolygonMask((left, right)).crop((2, 5))
    assert crop.bits.tolist() == [[1, 1, 0, 1, 1]] * 2


def test_the_part_outside_the_image_is_cut_off():
    mask = PolygonMask((_polygon((-3, 2), (2, 2), (2, 9), (-3, 9)),))
    crop = mask.crop((5, 6))
    assert (crop.x, crop.y, crop.bits.tolist()) == (0, 2, [[1, 1]] * 3)
    outside = PolygonMask((_polygon((7, 2), (9, 2), (9, 4)),)).crop((5, 6))
    assert outside.bits.size == 0


def test_polygons_resize_and_flip():
    mask = PolygonMask((_polygon((1, 2), (3, 2), (3, 4)),))
    assert mask.resize(2.0, 0.5).polygons[0].tolist() == [[2, 1], [6, 1], [6, 2]]
    assert mask.flip(10).polygons[0].tolist() == [[9, 2], [7, 2], [7, 4]]


def test_crops_of_convex_polygons_equal_cocos_full_masks():
    rng = np.random.default_rng(0)
    for _ in range(300):
        height, width = rng.integers(8, 60, 2).tolist()
        centre, radius = rng.uniform(0, (width, height)), rng.uniform(2, 20)
        angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
        around = centre + radius * np.stack((np.cos(angles), np.sin(angles)), axis=1)
        points = np.round(np.clip(around, 0, (width, height)), 2)
        crop = PolygonMask((points,)).crop((height, width))
        rle = coco_mask.frPyObjects([points.reshape(-1).tolist()], height, width)
        full = coco_mask.decode(rle)[:, :, 0]
        assert np.array_equal(_paste(crop, (height, width)), full)


# Run lengths


def test_rle_by_hand():
    # Column by column: 2 off, 3 on, 1 off of a 3 x 2 image.
    mask = BitMask.from_rle({"size": [3, 2], "counts": [2, 3, 1]})
    assert _paste(mask.pixels, (3, 2)).tolist() == [[0, 1], [0, 1], [1, 0]]


@pytest.mark.parametrize("as_bytes", [False, True])
def test_compressed_rle_is_what_pycocotools_wrote(as_bytes):
    rng = np.random.default_rng(1)
    for density in (0.0, 0.02, 0.3, 0.7, 1.0) * 40:
        full = _random_mask(rng, density)
        rle = coco_mask.encode(full)
        if not as_bytes:
            rle["counts"] = rle["counts"].decode()
        mask = BitMask.from_rle(rle)
        assert mask.size == full.shape
        assert np.array_equal(_paste(mask.pixels, full.shape), full)


def test_long_runs():
    full = np.zeros((700, 900), np.uint8, order="F")
    full[100:650, 200:800] = 1
    full[300, 5] = 1
    mask = BitMask.from_rle(coco_mask.encode(full))
    assert np.array_equal(_paste(mask.pixels, full.shape), full)


def test_the_crop_is_tight():
    full = np.zeros((9, 9), np.uint8, order="F")
    full[2:4, 5:8] = 1
    pixels = BitMask.from_rle(coco_mask.encode(full)).pixels
    assert (pixels.x, pixels.y, pixels.bits.shape) == (5, 2, (2, 3))


@pytest.mark.parametrize("counts", [[6], [0], "0", [2, -3, 7], "zzz", "5", "o", "é", [], ""])
def test_runs_that_do_not_fill_the_image(counts):
    if counts == [6]:
        assert BitMask.from_rle({"size": [3, 2], "counts": counts}).pixels.bits.size == 0
        return
    with pytest.raises(ValueError, match="run-length encoded mask"):
        BitMask.from_rle({"size": [3, 2], "counts": counts})


def test_pixels_resize_by_the_nearest_centre():
    mask = BitMask(Crop(np.array([[1, 0], [1, 1]], np.uint8), 1, 1), (4, 4))
    twice = mask.resize(2.0, 2.0)
    assert twice.size == (8, 8)
    assert np.array_equal(
        _paste(twice.pixels, (8, 8)), _paste(mask.pixels, (4, 4)).repeat(2, 0).repeat(2, 1)
    )
    rng = np.random.default_rng(2)
    for _ in range(200):
        full = _random_mask(rng, 0.5)
        height, width = rng.integers(1, 20, 2).tolist()
        mask = BitMask.from_rle(coco_mask.encode(full))
        resized = mask.resize(width / full.shape[1], height / full.shape[0])
        # The pixel whose square the new centre falls into, in whole numbers.
        rows = (2 * np.arange(height) + 1) * full.shape[0] // (2 * height)
        columns = (2 * np.arange(width) + 1) * full.shape[1] // (2 * width)
        assert resized.size == (height, width)
        assert np.array_equal(_paste(resized.pixels, (height, width)), full[np.ix_(rows, columns)])


def test_pixels_flip():
    rng = np.random.default_rng(3)
    for _ in range(50):
        full = _random_mask(rng, 0.4)
        flipped = BitMask.from_rle(coco_mask.encode(full)).flip(full.shape[1])
        assert np.array_equal(_paste(flipped.crop(full.shape), full.shape), full[:, ::-1])


# Crops


def test_crop_to_rle_equals_the_encoding_of_the_full_mask():
    rng = np.random.default_rng(4)
    for _ in range(300):
        height, width = rng.integers(1, 12, 2).tolist()
        x, y = int(rng.integers(0, width + 1)), int(rng.integers(0, height + 1))
        shape = int(rng.integers(0, height - y + 1)), int(rng.integers(0, width - x + 1))
        bits = (rng.random(shape) < rng.choice([0.1, 0.5, 0.9, 1.0])).astype(np.uint8)
        crop = Crop(bits, x, y)
        expected = coco_mask.encode(_paste(crop, (height, width)))
        assert crop_to_rle(crop, (height, width)) == {
            "size": [height, width],
            "counts": expected["counts"].decode(),
        }


def test_packing_and_unpacking():
    crops = [
        Crop(np.array([[1, 0, 1]], np.uint8), 4, 5),
        Crop(np.zeros((0, 2), np.uint8), 1, 2),
        Crop(np.array([[0, 1, 1], [1, 0, 1]], np.uint8), 0, 0),
        Crop(np.array([[1, 0], [0, 0], [1, 1]], np.uint8, order="F"), 2, 0),
    ]
    packed = MaskCrops.pack(crops)
    by_columns = [1, 0, 1, *(0, 1, 1, 0, 1, 1), *(1, 0, 1, 0, 0, 1)]
    assert packed.bits.tolist() == by_columns and packed.bits.dtype == torch.uint8
    assert packed.starts.tolist() == [0, 3, 3, 9]
    assert packed.sizes.tolist() == [[3, 1], [2, 0], [3, 2], [2, 3]]
    for index, crop in enumerate(crops):
        back = packed.unpack(index)
        assert (back.x, back.y) == (crop.x, crop.y) and np.array_equal(back.bits, crop.bits)


def test_packing_nothing():
    packed = MaskCrops.pack([])
    assert len(packed) == 0 and packed.origins.shape == packed.sizes.shape == (0, 2)
    assert packed.to("cpu").bits.dtype == torch.uint8
