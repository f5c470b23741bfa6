from dataclasses import replace

import numpy as np
import pytest
import torch

from pet.data.sample import bare_sample
from pet.data.transforms import RandomCrop
from pet.data.transforms.cut import cut, drop_lost, select, visible_share
from tests.data.transforms.samples import check_pixels, check_sample, draw_sample, without_masks


def rng(seed=0):
    return np.random.default_rng(seed)


def test_cut_by_hand():
    before = draw_sample(rng(), (20, 30), 1)
    box = torch.tensor([[5.0, 6.0, 15.0, 16.0]])
    points = torch.tensor([[[7.0, 7.0, 2.0], [14.0, 7.0, 2.0], [0.0, 0.0, 0.0]]])
    part = cut(replace(before, boxes=box, keypoints=points), 2, 4, (8, 10))
    assert np.array_equal(part.image, before.image[4:12, 2:12])
    assert part.boxes.tolist() == [[3, 2, 10, 8]]
    assert part.keypoints.tolist() == [[[5, 3, 2], [0, 0, 0], [0, 0, 0]]]


def test_visible_share_by_hand():
    boxes = torch.tensor([[0.0, 0, 4, 4], [-2.0, 0, 2, 4], [9.0, 9, 12, 12], [1.0, 1, 1, 3]])
    assert visible_share(boxes, 0, 0, (8, 8)).tolist() == [1, 0.5, 0, 0]
    assert visible_share(boxes, 3, 2, (8, 8)).tolist() == [0.125, 0, pytest.approx(2 / 9), 0]
    assert visible_share(torch.zeros(0, 4), 0, 0, (8, 8)).shape == (0,)


def test_select_by_hand():
    before = draw_sample(rng(3), (30, 30), 5)
    keep = torch.tensor([True, False, True, *[False] * (len(before.labels) - 3)])
    chosen = select(before, keep)
    assert torch.equal(chosen.labels, before.labels[[0, 2]])
    assert chosen.masks == (before.masks[0], before.masks[2])
    assert torch.equal(chosen.keypoints, before.keypoints[[0, 2]])
    check_sample(chosen)
    check_sample(select(before, torch.tensor([], dtype=torch.int64)))


def test_an_object_without_a_pixel_is_lost():
    """Its box reaches into the window, but its mask does not."""
    before = draw_sample(rng(), (20, 30), 1, points=False)
    wide = replace(before, boxes=torch.tensor([[0.0, 0.0, 30.0, 20.0]]))
    x = int(before.boxes[0, 2])
    assert x < 30
    part = cut(wide, x, 0, (20, 30 - x))
    assert len(part.boxes) == 1 and len(drop_lost(part).boxes) == 0
    assert len(drop_lost(cut(without_masks(wide), x, 0, (20, 30 - x))).boxes) == 1


def test_the_window_has_the_centre_of_an_object():
    crop = RandomCrop(1.0, (0.3, 0.7), 0.0)
    sizes = set()
    for seed in range(100):
        before = draw_sample(rng(seed), (40, 50), 2, points=False)
        after = crop(before, rng(seed))
        if after is before:
            continue
        check_pixels(after)
        check_sample(after)
        sizes.add(after.size)
        # The place of the window, found by its pixels of noise.
        places = np.argwhere((before.image == after.image[0, 0]).all(axis=2)).tolist()
        height, width = after.size
        spots = [
            (y, x)
            for y, x in places
            if np.array_equal(before.image[y : y + height, x : x + width], after.image)
        ]
        assert len(spots) == 1
        (y, x), centres = spots[0], (before.boxes[:, :2] + before.boxes[:, 2:]) / 2
        inside = (centres >= torch.tensor([x, y])) & (
            centres <= torch.tensor([x + width, y + height])
        )
        assert inside.all(dim=1).any()
    heights, widths = zip(*sizes, strict=True)
    assert min(heights) == 12 and max(heights) == 28
    assert min(widths) == 15 and max(widths) == 35


def test_what_is_hardly_seen_is_left_out():
    """The share of its box of every object that stays is large enough; others are gone."""
    strict, lenient = RandomCrop(1.0, (0.4, 0.6), 0.8), RandomCrop(1.0, (0.4, 0.6), 0.0)
    fewer = 0
    for seed in range(60):
        before = draw_sample(rng(seed), (40, 50), 4)
        after, all_seen = strict(before, rng(seed)), lenient(before, rng(seed))
        if after is before:
            continue
        assert after.size == all_seen.size
        kept = np.isin(all_seen.labels, after.labels)
        shares = {
            label: ((b[2] - b[0]) * (b[3] - b[1]) / ((a[2] - a[0]) * (a[3] - a[1]))).item()
            for label, a, b in zip(
                all_seen.labels.tolist(),
                before.boxes[np.isin(before.labels, all_seen.labels)],
                all_seen.boxes,
                strict=True,
            )
        }
        for label, stays in zip(all_seen.labels.tolist(), kept, strict=True):
            assert stays == (shares[label] >= 0.8)
        fewer += not kept.all()
    assert fewer > 12


def test_a_picture_is_unchanged_if_no_object_would_stay():
    empty = bare_sample(np.zeros((10, 10, 3), np.uint8))
    crop = RandomCrop(1.0, (0.5, 0.5), 1.0)
    assert crop(empty, rng()) is empty
    whole = draw_sample(rng(), (10, 10), 1, points=False)
    whole = replace(whole, boxes=torch.tensor([[0.0, 0.0, 10.0, 10.0]]))
    assert crop(whole, rng()) is whole
    assert RandomCrop(0.0, (0.5, 0.5), 0.0)(whole, rng()) is whole


def test_the_smallest_picture():
    dot = draw_sample(rng(3), (1, 1), 20)
    assert len(dot.labels) == 1
    after = RandomCrop(1.0, (0.1, 0.2), 0.5)(dot, rng())
    check_sample(after, (1, 1))
