"""Dividing images so that the classes come in equal shares."""

import numpy as np
import pytest

from pet.data.stratify import stratify


def counts(classes_of, parts, number):
    """Return how many images of each part have class ``number``."""
    return [sum(number in classes_of[image] for image in part) for part in parts]


@pytest.mark.parametrize("seed", range(3))
def test_every_class_comes_in_the_shares(seed):
    rng = np.random.default_rng(seed)
    often = (0.9, 0.5, 0.2, 0.05)
    classes_of = [{n for n, p in enumerate(often) if rng.random() < p} for _ in range(400)]
    shares = (0.7, 0.2, 0.1)
    parts = stratify(classes_of, shares, seed)
    assert sorted(image for part in parts for image in part) == list(range(400))
    for number in range(len(often)):
        found = counts(classes_of, parts, number)
        wanted = np.multiply(shares, sum(found))
        assert np.abs(found - wanted).max() <= max(2, 0.05 * sum(found))
    assert np.abs(np.array([len(part) for part in parts]) - (280, 80, 40)).max() <= 8


def test_a_rare_class_is_dealt_out_first():
    classes_of = [{0}] * 96 + [{0, 1}] * 4
    for seed in range(5):
        parts = stratify(classes_of, (0.5, 0.5), seed)
        assert counts(classes_of, parts, 1) == [2, 2] and counts(classes_of, parts, 0) == [50, 50]


def test_images_without_objects_are_shared_too():
    parts = stratify([set()] * 8 + [{3}] * 2, (0.8, 0.2), 0)
    assert [len(part) for part in parts] == [8, 2]
    assert stratify([], (0.5, 0.5), 0) == [[], []]


def test_the_seed_decides():
    classes_of = [{n % 3} for n in range(30)]
    first = stratify(classes_of, (0.5, 0.5), 1)
    assert first == stratify(classes_of, (0.5, 0.5), 1)
    assert first != stratify(classes_of, (0.5, 0.5), 2)


def test_classes_of_few_images_leave_no_part_short():
    for seed in range(3):
        classes_of = [{n // 2} for n in range(40)]
        train, val = stratify(classes_of, (0.8, 0.2), seed)
        assert (len(train), len(val)) == (32, 8)
        assert counts(classes_of, [train], 5)[0] and len({n // 2 for n in train}) == 20
        alone = [{n} for n in range(10)]
        assert [len(part) for part in stratify(alone, (0.8, 0.2), seed)] == [9, 1]
