import torch
from torch import Tensor

from pet.ops.patches import extract_patches


def two_levels() -> list[Tensor]:
    """Two images with maps of 2 x 3 and 1 x 2 pixels, whose two channels are n and -n."""
    fine = torch.arange(1.0, 13.0).reshape(2, 1, 2, 3)
    coarse = torch.arange(21.0, 25.0).reshape(2, 1, 1, 2)
    return [torch.cat((level, -level), dim=1) for level in (fine, coarse)]


def test_squares_around_pixels_by_hand():
    image, pixel = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 4, 6, 7])
    squares, on_map = extract_patches(two_levels(), image, pixel, 1)
    assert squares.shape == (4, 2, 3, 3) and on_map.shape == (4, 1, 3, 3)
    assert squares[:, 0].tolist() == [
        [[0, 0, 0], [0, 1, 2], [0, 4, 5]],
        [[7, 8, 9], [10, 11, 12], [0, 0, 0]],
        [[0, 0, 0], [0, 23, 24], [0, 0, 0]],
        [[0, 0, 0], [21, 22, 0], [0, 0, 0]],
    ]
    assert torch.equal(squares[:, 1], -squares[:, 0])
    assert torch.equal(on_map[:, 0], squares[:, 0] != 0)


def test_the_pixels_alone():
    squares, on_map = extract_patches(two_levels(), torch.tensor([1]), torch.tensor([5]), 0)
    assert squares.tolist() == [[[[12]], [[-12]]]] and on_map.all()


def test_gradients_are_added_up_where_squares_overlap():
    maps = [level.requires_grad_() for level in two_levels()]
    squares, _ = extract_patches(maps, torch.tensor([0, 0, 1]), torch.tensor([0, 2, 6]), 1)
    squares.sum().backward()
    assert maps[0].grad[:, 0].tolist() == [[[1, 2, 1], [1, 2, 1]], [[0, 0, 0], [0, 0, 0]]]
    assert maps[1].grad[:, 0].tolist() == [[[0, 0]], [[1, 1]]]


def test_what_is_not_finite_stays_where_it_is():
    maps = two_levels()
    maps[1][:] = torch.nan
    squares, _ = extract_patches(maps, torch.tensor([0]), torch.tensor([3]), 1)
    assert torch.isfinite(squares).all()
