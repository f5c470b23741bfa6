from dataclasses import replace

import numpy as np
import pytest
import torch

from pet.data.sample import bare_sample
from pet.data.transforms import LargeScaleJitter
from pet.data.transforms.cut import select
from pet.data.transforms.large_scale_jitter import fixed_size_crop
from tests.data.transforms.samples import check_pixels, check_sample, draw_sample, pixels_of

FILL = (7, 8, 9)


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(seed=0, size=(20, 30)):
    return draw_sample(rng(seed), size, 4)


def test_at_scale_1_the_picture_just_fits():
    """20 x 30 in 60 x 60: twice the size, and 20 lines of padding below."""
    before = drawn()
    after = LargeScaleJitter((60, 60), (1.0, 1.0), FILL)(before, rng())
    check_sample(after, (60, 60))
    assert (after.image[40:] == FILL).all()
    assert torch.equal(after.boxes, before.boxes * 2)
    for mask, old in zip(after.masks, before.masks, strict=True):
        wanted = pixels_of(old, (20, 30)).repeat(2, axis=0).repeat(2, axis=1)
        assert np.array_equal(pixels_of(mask, (60, 60))[:40], wanted)
        assert not pixels_of(mask, (60, 60))[40:].any()


def test_at_half_the_scale_half_is_padding():
    before = drawn()
    after = LargeScaleJitter((20, 30), (0.5, 0.5), FILL)(before, rng())
    check_sample(after, (20, 30))
    assert (after.image[10:] == FILL).all() and (after.image[:10, 15:] == FILL).all()
    assert not (after.image[:10, :15] == FILL).all(axis=2).any()


def test_a_large_scale_leaves_a_window():
    for seed in range(20):
        after = LargeScaleJitter((20, 30), (3.0, 3.0), FILL)(drawn(seed), rng(seed))
        check_sample(after, (20, 30))
        assert not (after.image == FILL).all(axis=2).any()


@pytest.mark.parametrize("size", [(12, 40), (12, 20), (30, 20), (30, 40), (20, 30)])
def test_fixed_size_crop_at_any_place(size):
    """Without resizing every pixel is known: that of the picture, or padding."""
    before = drawn(1)
    places = set()
    for seed in range(40):
        after = fixed_size_crop(before, size, FILL, rng(seed))
        check_sample(after, size)
        check_pixels(after)
        height, width = min(size[0], 20), min(size[1], 30)
        assert (after.image[height:] == FILL).all() and (after.image[:, width:] == FILL).all()
        part = after.image[:height, :width]
        found = [
            (y, x)
            for y in range(21 - height)
            for x in range(31 - width)
            if np.array_equal(before.image[y : y + height, x : x + width], part)
        ]
        assert len(found) == 1
        places |= set(found)
    ys, xs = zip(*places, strict=True)
    assert (min(ys), max(ys)) == (0, max(20 - size[0], 0))
    assert min(xs) == 0 and max(xs) >= 0.8 * max(30 - size[1], 0)


def test_a_mask_that_ends_at_the_window_does_not_reach_into_the_padding():
    before = drawn(2)
    whole = replace(before, boxes=torch.zeros_like(before.boxes) + torch.tensor([0, 0, 30, 20.0]))
    after = fixed_size_crop(whole, (12, 40), FILL, rng())
    for mask in after.masks:
        assert not pixels_of(mask, (12, 40))[:, 30:].any()


def test_objects_that_vanish_are_left_out():
    """At a twentieth of its size a mask of one pixel has none left, though the box has an area."""
    small = cut_to_a_pixel(select(drawn(3, (60, 60)), torch.tensor([0])))
    assert len(small.boxes) == 1
    after = LargeScaleJitter((60, 60), (0.05, 0.05), FILL)(small, rng())
    assert len(after.boxes) == len(after.masks) == len(after.keypoints) == 0
    check_sample(after, (60, 60))


def cut_to_a_pixel(sample):
    """Return ``sample`` with the mask of its object reduced to one pixel."""
    (mask,) = sample.masks
    y, x = np.argwhere(pixels_of(mask, sample.size))[0].tolist()
    return replace(sample, masks=(mask.cut(x, y, (1, 1)).place(x, y, sample.size),))


@pytest.mark.parametrize("interpolation", ["opencv", "pil", "float"])
def test_pictures_are_bytes_in_every_interpolation(interpolation):
    jitter = LargeScaleJitter((40, 30), (0.1, 2.0), FILL, interpolation)
    for seed in range(10):
        check_sample(jitter(drawn(seed), rng(seed)), (40, 30))
    flat = bare_sample(np.full((9, 9, 3), 77, np.uint8))
    after = LargeScaleJitter((20, 20), (1.0, 1.0), FILL, interpolation)(flat, rng())
    assert (after.image == 77).all()


def test_scales_are_drawn_from_end_to_end():
    jitter = LargeScaleJitter((100, 100), (0.1, 1.0), FILL)
    white = bare_sample(np.full((10, 10, 3), 255, np.uint8))
    sides = [int((jitter(white, rng(seed)).image[0, :, 0] == 255).sum()) for seed in range(300)]
    assert 10 <= min(sides) < 14 and 96 < max(sides) <= 100
