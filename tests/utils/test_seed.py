import random

import numpy as np
import torch

from pet.utils.seed import kept_random_state, mix_seeds, seed_all


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_equal_seeds_draw_equal_numbers():
    seed_all(3)
    first = draw()
    seed_all(3)
    assert draw() == first
    seed_all(4)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


def test_a_block_that_draws_leaves_no_trace():
    seed_all(3)
    first = draw()
    seed_all(3)
    with kept_random_state(torch.device("cpu")):
        seed_all(4)
        draw()
    assert draw() == first


def test_a_seed_may_be_as_large_as_mix_seeds_makes_them():
    seed_all(mix_seeds(1, 2, 3))
    first = draw()
    seed_all(mix_seeds(1, 2, 3))
    assert draw() == first


def test_mixed_seeds_depend_on_every_number_and_their_order():
    mixed = [mix_seeds(*numbers) for numbers in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 1))]
    assert len(set(mixed)) == len(mixed)
    assert mix_seeds(5, 7) == mix_seeds(5, 7)


def test_mixed_seeds_fit_a_torch_generator():
    seeds = [mix_seeds(0, iteration) for iteration in range(200)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert len({seed % 2**32 for seed in seeds}) == 200  # seed_all gives NumPy the low half
    assert max(seeds) > 2**62 > min(seeds)
    torch.Generator().manual_seed(max(seeds))
