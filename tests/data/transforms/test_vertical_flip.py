from dataclasses import replace

import numpy as np
import torch

from pet.data.transforms import RandomHorizontalFlip, RandomRotate90, RandomVerticalFlip
from pet.data.transforms.rotate90 import turn
from tests.data.transforms.samples import LAYOUT, check_pixels, check_sample, draw_sample, same

ORDER = LAYOUT.flip_order()


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(seed=0):
    return draw_sample(rng(seed), (30, 40), 5)


def test_by_hand():
    before = drawn()
    after = RandomVerticalFlip(1.0, ORDER)(before, rng())
    assert np.array_equal(after.image, before.image[::-1])
    check_pixels(after)
    assert torch.equal(after.boxes[:, 1], 30 - before.boxes[:, 3])
    assert torch.equal(after.boxes[:, 0], before.boxes[:, 0])
    # Of the three points the second and the third change places, and those seen move.
    moved = after.keypoints[:, (0, 2, 1)]
    assert torch.equal(moved[:, 1:, 1], 30 - before.keypoints[:, 1:, 1])
    assert torch.equal(moved[:, 0], before.keypoints[:, 0])  # not labelled


def test_twice_is_none():
    before, flip = drawn(), RandomVerticalFlip(1.0, ORDER)
    after = flip(flip(before, rng()), rng())
    assert np.array_equal(after.image, before.image)
    torch.testing.assert_close(after.keypoints, before.keypoints)
    check_pixels(after)


def test_both_flips_are_half_a_turn():
    """So that the two mirror images change places of points in the same way."""
    before = drawn()
    flipped = RandomVerticalFlip(1.0, ORDER)(RandomHorizontalFlip(1.0, ORDER)(before, rng()), rng())
    turned = turn(before, 2)
    assert np.array_equal(flipped.image, turned.image)
    torch.testing.assert_close(flipped.keypoints, turned.keypoints)
    assert torch.equal(flipped.boxes, turned.boxes)


def test_quarter_turns():
    before = drawn(1)
    turned = before
    for turns in range(1, 5):
        turned = turn(turned, 1)
        assert np.array_equal(turned.image, np.rot90(before.image, turns))
        check_pixels(turned)
        check_sample(turned, (40, 30) if turns % 2 else (30, 40))
    assert torch.equal(turned.boxes, before.boxes)
    torch.testing.assert_close(turned.keypoints, before.keypoints)
    again = turn(turn(before, 3), 1)
    assert np.array_equal(again.image, before.image)
    torch.testing.assert_close(again.keypoints, before.keypoints)


def test_a_picture_that_is_resized_later_turns_with_its_size():
    before = draw_sample(rng(), (30, 40), 5)
    later = replace(before, image=before.image[:15, :20], resize_to=(30, 40))
    turned, wanted = turn(later, 3), turn(before, 3)
    assert turned.image.shape == (20, 15, 3) and turned.size == (40, 30)
    assert torch.equal(turned.boxes, wanted.boxes)
    assert torch.equal(turned.keypoints, wanted.keypoints)


def test_a_point_stays_on_its_pixel():
    """Whatever is done, the colour below each labelled point is that of its object."""
    before = drawn(2)

    def colours(sample):
        x, y, seen = sample.keypoints.flatten(0, 1).unbind(-1)
        picked = sample.image[y.long().numpy(), x.long().numpy(), 1]
        return sorted(picked[seen.numpy() > 0].tolist())

    wanted = colours(before)
    assert len(wanted) > 3
    assert colours(turn(before, 1)) == wanted
    assert colours(RandomVerticalFlip(1.0, ORDER)(before, rng())) == wanted


def test_probabilities():
    before = drawn()
    flips = sum(RandomVerticalFlip(0.3, ORDER)(before, rng(n)) is not before for n in range(400))
    assert 80 < flips < 160
    counts = np.zeros(4, int)
    for seed in range(400):
        after = RandomRotate90(0.75)(before, rng(seed))
        counts[[np.array_equal(after.image, np.rot90(before.image, n)) for n in range(4)]] += 1
    assert (counts > 70).all() and counts.sum() == 400
    assert RandomRotate90(0.0)(before, rng()) is before
    assert same(RandomVerticalFlip(0.0)(before, rng()), before)
