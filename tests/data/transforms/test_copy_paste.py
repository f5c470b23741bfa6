from dataclasses import replace

import numpy as np
import pytest
import torch

from pet.data.transforms import CopyPaste, RandomVerticalFlip
from pet.data.transforms.copy_paste import hide, paste
from pet.data.transforms.cut import select
from pet.structures import BitMask, Crop, PolygonMask
from tests.data.transforms.samples import (
    DrawnData,
    check_pixels,
    check_sample,
    draw_sample,
    pixels_of,
    same,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(seed, size=(20, 30), first=1):
    return draw_sample(rng(seed), size, 4, first=first, points=False)


def nothing(sample):
    """Return ``sample`` without its objects."""
    return select(sample, torch.zeros(0, dtype=torch.int64))


def test_every_pixel_is_that_of_the_topmost_object():
    """Blue tells the object, so that after any number of pastes masks and picture agree."""
    for seed in range(30):
        sizes = rng(seed).integers(5, 40, (3, 2)).tolist()
        sample, one, two = (
            drawn(seed + n, tuple(size), 10 * n + 1) for n, size in enumerate(sizes)
        )
        for number, other in enumerate((one, two)):
            sample = CopyPaste(DrawnData([other]), [], 1.0, 0.0)(sample, rng(seed + number))
        check_sample(sample, tuple(sizes[0]))
        check_pixels(sample)
        assert set(np.unique(sample.image[..., 0])) - {0} == set(sample.labels.tolist())


def test_by_hand():
    """A square of 4 x 4 loses its right half, one of 2 x 2 all, and the third nothing."""
    image = np.zeros((10, 12, 3), np.uint8)
    squares = [(1, 1, 5, 5), (3, 2, 5, 4), (8, 6, 10, 8)]
    masks = tuple(
        PolygonMask((np.array([(a, b), (c, b), (c, d), (a, d)], float),)) for a, b, c, d in squares
    )
    boxes, ages = torch.tensor(squares, dtype=torch.float32), {"age": torch.tensor([10, 20, 30])}
    sample = drawn(0, (10, 12))
    sample = replace(
        sample, image=image, boxes=boxes, labels=torch.tensor([1, 2, 3]), masks=masks, extras=ages
    )
    other = replace(
        sample,
        image=np.full((6, 4, 3), 200, np.uint8),
        boxes=torch.tensor([[0.0, 0.0, 4.0, 6.0]]),
        labels=torch.tensor([9]),
        masks=(BitMask.around(Crop(np.ones((6, 4), np.uint8), 0, 0), (6, 4)),),
        extras={"age": torch.tensor([90])},
    )
    after = paste(sample, other, x=3, y=0, min_visible=0.0)
    assert after.labels.tolist() == [1, 3, 9] and after.extras["age"].tolist() == [10, 30, 90]
    assert after.boxes.tolist() == [[1, 1, 3, 5], [8, 6, 10, 8], [3, 0, 7, 6]]
    assert after.masks[1] is masks[2]  # what is not covered stays as exact as it was
    assert pixels_of(after.masks[0], (10, 12)).sum() == 8
    assert (after.image[:6, 3:7] == 200).all() and after.image.sum() == 24 * 600
    assert not sample.image.any()
    assert paste(sample, other, x=3, y=0, min_visible=0.5).labels.tolist() == [1, 3, 9]
    assert paste(sample, other, x=3, y=0, min_visible=0.51).labels.tolist() == [3, 9]


def test_nothing_hidden_changes_nothing():
    sample = drawn(0)
    assert same(hide(sample, np.zeros((20, 30), np.uint8), 1.0), sample)


def test_the_other_picture_goes_through_the_transforms_before():
    other = drawn(5, first=50)
    flip = RandomVerticalFlip(1.0)
    empty = replace(nothing(drawn(6)), image=np.zeros((20, 30, 3), np.uint8))
    for seed in range(20):
        after = CopyPaste(DrawnData([other]), [flip], 1.0, 0.0)(empty, rng(seed))
        seen = after.image[..., 0] > 0
        assert np.array_equal(after.image[seen], other.image[::-1][seen])
        check_pixels(after)


def test_smaller_and_larger_pictures_lie_anywhere():
    """A dot of 1 x 1 reaches every corner; of a larger picture any part may be pasted."""
    dot = draw_sample(rng(3), (1, 1), 20, first=50, points=False)
    places, ground = set(), drawn(1, (3, 4))
    for seed in range(120):
        after = CopyPaste(DrawnData([dot]), [], 1.0, 0.0)(ground, rng(seed))
        places.add(tuple(np.argwhere(after.image[..., 0] == dot.labels[0].item())[0].tolist()))
    assert len(places) == 12
    large, shown, ground = drawn(2, (40, 40), 50), set(), drawn(1, (10, 10))
    for seed in range(60):
        after = CopyPaste(DrawnData([large]), [], 1.0, 0.0)(ground, rng(seed))
        check_sample(after, (10, 10))
        shown |= set(after.labels.tolist())
    assert set(large.labels.tolist()) <= shown


def test_subsets_and_sources_are_drawn():
    data = DrawnData([drawn(7, first=50), drawn(8, first=100)])
    found, ground = set(), drawn(1)
    for seed in range(100):
        after = CopyPaste(data, [], 1.0, 0.0)(ground, rng(seed))
        pasted = frozenset(label for label in after.labels.tolist() if label >= 50)
        assert pasted
        found.add(pasted)
    for sample in data.samples:
        labels = sample.labels.tolist()
        assert frozenset(labels) in found
        assert all(frozenset([label]) in found for label in labels)


def test_probability_and_pictures_without_objects():
    sample = drawn(0)
    paste_half = CopyPaste(DrawnData([drawn(1, first=50)]), [], 0.5, 0.0)
    assert 60 < sum(paste_half(sample, rng(seed)) is not sample for seed in range(200)) < 140
    assert CopyPaste(DrawnData([nothing(sample)]), [], 1.0, 0.0)(sample, rng()) is sample


def test_other_extras_are_an_error():
    other = replace(drawn(1, first=50), extras={})
    with pytest.raises(
        ValueError, match=r"extras of 1\.png are \['age'\] and those of 50\.png \[\]"
    ):
        CopyPaste(DrawnData([other]), [], 1.0, 0.0)(drawn(0), rng())
