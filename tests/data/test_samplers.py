from itertools import islice

import numpy as np
import pytest

from pet.data.samplers import (
    RepeatFactorOrder,
    ShuffledOrder,
    TestBatchSampler,
    TrainBatchSampler,
    repeat_factors,
)


def _sampler(images=10, batch_size=2, max_iter=25, groups=None, order=None, **place):
    groups = np.zeros(images, np.int64) if groups is None else np.array(groups)
    order = order or ShuffledOrder(len(groups), seed=3)
    return TrainBatchSampler(
        order, groups, batch_size=batch_size, max_iter=max_iter, seed=4, **place
    )


def _indices(batches):
    return [[index for index, _ in batch] for batch in batches]


def test_every_epoch_holds_each_image_once():
    order = ShuffledOrder(10, seed=3)
    epochs = [order.epoch(number).tolist() for number in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[1] == ShuffledOrder(10, seed=3).epoch(1).tolist()
    assert epochs[1] != ShuffledOrder(10, seed=5).epoch(1).tolist()


def test_batches_follow_the_epochs():
    batches = _indices(_sampler())
    assert len(batches) == 25 == len(_sampler())
    flat = [index for batch in batches for index in batch]
    for start in range(0, 50, 10):
        assert sorted(flat[start : start + 10]) == list(range(10))


def test_seeds_are_those_of_the_place():
    seeds = [seed for batch in _sampler() for _, seed in batch]
    assert len(set(seeds)) == 50  # the same image gets another one in another epoch
    assert list(_sampler()) == list(_sampler())


@pytest.mark.parametrize("start_iter", [0, 1, 7, 24, 25])
@pytest.mark.parametrize("groups", [[0] * 10, [0, 1, 1, 0, 1, 1, 1, 0, 1, 1]])
@pytest.mark.parametrize("place", [{}, {"rank": 1, "world_size": 3}])
def test_a_resumed_run_gets_the_tail_of_an_uninterrupted_one(start_iter, groups, place):
    whole = list(_sampler(groups=groups, **place))
    resumed = _sampler(groups=groups, start_iter=start_iter, **place)
    assert list(resumed) == whole[start_iter:]
    assert len(resumed) == 25 - start_iter


def test_resuming_behind_the_end():
    sampler = _sampler(start_iter=30)
    assert len(sampler) == 0 and list(sampler) == []


def test_ranks_share_the_batches_of_one_process():
    groups = [0, 1, 1, 0, 1, 1, 1, 0, 1, 1]
    alone = list(_sampler(groups=groups, max_iter=24))
    ranks = [list(_sampler(groups=groups, max_iter=8, rank=r, world_size=3)) for r in range(3)]
    assert [batch for step in zip(*ranks, strict=True) for batch in step] == alone


def test_ranks_see_different_images_within_an_epoch():
    ranks = [list(_sampler(images=12, max_iter=2, rank=r, world_size=3)) for r in range(3)]
    flat = [index for rank in ranks for batch in _indices(rank) for index in batch]
    assert sorted(flat) == list(range(12))


def test_groups_do_not_mix_and_nobody_is_left_out():
    groups = np.array([0, 1, 1, 0, 1, 1, 1, 0, 1])  # 3 and 6
    batches = _indices(_sampler(groups=groups, batch_size=2, max_iter=90))
    for batch in batches:
        assert len(set(groups[batch].tolist())) == 1
    times = np.bincount([index for batch in batches for index in batch])
    assert times.min() >= 19 and times.max() <= 20  # 180 images are 20 epochs of 9


def test_fewer_images_than_the_batch_holds():
    batches = _indices(_sampler(images=2, batch_size=5, max_iter=4))
    assert all(len(batch) == 5 for batch in batches)
    assert set(batches[0]) == {0, 1}
    assert _indices(_sampler(images=1, batch_size=3, max_iter=1)) == [[0, 0, 0]]


def test_repeat_factors_by_hand():
    # Class 1 is in 4 of 4 images, class 2 in 1 of 4: sqrt(0.5 / 0.25) = 1.414.
    factors = repeat_factors([[1, 1], [1, 2], [1], [1]], threshold=0.5)
    assert factors == pytest.approx([1, 2**0.5, 1, 1])
    assert repeat_factors([[], [1]], threshold=0.0).tolist() == [1, 1]


def test_repeat_factors_with_the_threshold_of_the_paper():
    """Of 8000 images class 9 is in 2, class 8 in 4, class 7 in 8, and class 1 in all."""
    rare = [[9, 8, 7], [9, 8, 7], [8, 7, 8], [8, 7], *[[7]] * 4]
    labels = [[1, *more] for more in rare] + [[1]] * 7992
    # sqrt(0.001 / (2 / 8000)), and of these the largest of an image.
    factors = repeat_factors(labels, threshold=0.001)
    assert factors[:8] == pytest.approx([2, 2, 2**0.5, 2**0.5, 1, 1, 1, 1])
    assert set(factors[8:]) == {1}


def test_repeat_factors_are_met_on_average():
    order = RepeatFactorOrder(np.array([1.0, 2.25, 1.5]), seed=1)
    epochs = [order.epoch(number) for number in range(1000)]
    times = np.bincount(np.concatenate(epochs)) / 1000
    assert times[0] == 1 and times[1:] == pytest.approx([2.25, 1.5], abs=0.06)
    assert {len(epoch) for epoch in epochs} == {4, 5, 6}
    sampler = _sampler(groups=[0, 0, 0], order=order)
    flat = [index for batch in _indices(islice(sampler, 10)) for index in batch]
    assert np.bincount(flat)[1] > np.bincount(flat)[0]


def test_test_batches_by_hand():
    groups = np.array([0, 1, 0, 0, 1, 0, 0])
    assert list(TestBatchSampler(groups, 2)) == [[0, 2], [1, 4], [3, 5], [6]]
    assert list(TestBatchSampler(groups, 1)) == [[0], [1], [2], [3], [4], [5], [6]]


@pytest.mark.parametrize("world_size", [1, 2, 3, 6])
def test_test_batches_are_dealt_whole(world_size):
    groups = np.array([0, 1, 0, 0, 1, 0, 0])
    dealt = [TestBatchSampler(groups, 2, rank, world_size) for rank in range(world_size)]
    assert sum(len(sampler) for sampler in dealt) == 4
    assert sorted(batch for sampler in dealt for batch in sampler) == [
        [0, 2],
        [1, 4],
        [3, 5],
        [6],
    ]
