import math

import pytest
import torch

from pet.ops.keypoints import (
    NO_BIN,
    cut_keypoints,
    decode_heatmaps,
    flip_keypoints,
    flip_keypoints_vertically,
    keypoint_bins,
    scale_keypoints,
    turn_keypoints,
)

BOX = torch.tensor([[10.0, 20.0, 66.0, 132.0]])  # 56 x 112 pixels: cells of 1 x 2


def bins(x: float, y: float, visibility: float = 2.0, box: torch.Tensor = BOX) -> int:
    return keypoint_bins(torch.tensor([[[x, y, visibility]]]), box, (56, 56)).item()


@pytest.mark.parametrize(
    ("x", "y", "row", "column"),
    [
        (10.0, 20.0, 0, 0),
        (10.99, 21.99, 0, 0),
        (11.0, 22.0, 1, 1),
        (12.5, 31.0, 5, 2),
        (65.9, 131.9, 55, 55),
        (66.0, 132.0, 55, 55),  # the right and lower side belong to the last cell
        (66.0, 20.0, 0, 55),
    ],
)
def test_the_cell_of_a_point(x, y, row, column):
    assert bins(x, y) == row * 56 + column


@pytest.mark.parametrize(
    ("x", "y", "visibility"),
    [
        (9.99, 30.0, 2.0),
        (66.01, 30.0, 2.0),
        (30.0, 19.9, 2.0),
        (30.0, 132.1, 2.0),
        (30.0, 30.0, 0.0),
        (float("nan"), 30.0, 2.0),
    ],
)
def test_points_outside_or_not_labelled_have_no_cell(x, y, visibility):
    assert bins(x, y, visibility) == NO_BIN
    assert bins(30.0, 30.0, 1.0) == 5 * 56 + 20  # hidden, but labelled


def test_cells_of_a_grid_that_is_not_square():
    points = torch.tensor([[[3.0, 3.0, 2.0], [7.9, 0.0, 1.0]]])
    box = torch.tensor([[0.0, 0.0, 8.0, 4.0]])
    assert keypoint_bins(points, box, (2, 4)).tolist() == [[1 * 4 + 1, 3]]


def test_no_rois_no_bins():
    assert keypoint_bins(torch.zeros(0, 17, 3), torch.zeros(0, 4), (56, 56)).shape == (0, 17)


def test_an_empty_box_does_no_harm():
    assert bins(30.0, 30.0, box=torch.tensor([[10.0, 20.0, 10.0, 20.0]])) == NO_BIN


def test_scale_by_hand():
    points = torch.tensor([[[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]]])
    assert scale_keypoints(points, 3.0, 0.5).tolist() == [[[3, 1, 2], [0, 0, 0]]]
    assert scale_keypoints(torch.zeros(0, 2, 3), 3.0, 0.5).shape == (0, 2, 3)


def test_flip_by_hand():
    # A nose, a left and a right hand; the right one is not labelled.
    points = torch.tensor([[[2.5, 1.0, 2.0], [7.0, 3.0, 1.0], [0.0, 0.0, 0.0]]])
    flipped = flip_keypoints(points, 10, (0, 2, 1))
    assert flipped.tolist() == [[[7.5, 1, 2], [0, 0, 0], [3, 3, 1]]]
    assert torch.equal(flip_keypoints(flipped, 10, (0, 2, 1)), points)
    assert flip_keypoints(torch.zeros(0, 3, 3), 10, (0, 2, 1)).shape == (0, 3, 3)


def test_vertical_flip_by_hand():
    # Left and right change places here as well: it is a mirror image.
    points = torch.tensor([[[2.5, 1.0, 2.0], [7.0, 3.0, 1.0], [0.0, 0.0, 0.0]]])
    flipped = flip_keypoints_vertically(points, 8, (0, 2, 1))
    assert flipped.tolist() == [[[2.5, 7, 2], [0, 0, 0], [7, 5, 1]]]
    assert torch.equal(flip_keypoints_vertically(flipped, 8, (0, 2, 1)), points)
    assert flip_keypoints_vertically(torch.zeros(0, 3, 3), 8, (0, 2, 1)).shape == (0, 3, 3)


def test_quarter_turn_by_hand():
    points = torch.tensor([[[2.5, 1.0, 2.0], [7.0, 3.0, 1.0], [0.0, 0.0, 0.0]]])
    turned = turn_keypoints(points, 10)
    assert turned.tolist() == [[[1, 7.5, 2], [3, 3, 1], [0, 0, 0]]]
    for width in (8, 10, 8):
        turned = turn_keypoints(turned, width)
    assert torch.equal(turned, points)
    assert turn_keypoints(torch.zeros(0, 3, 3), 10).shape == (0, 3, 3)


def test_cut_by_hand():
    # Inside, on the border, and outside of 3..8 x 1..5; the last is not labelled.
    points = torch.tensor([[[4.0, 2, 2], [8.0, 5, 1], [2.9, 2, 2], [4.0, 5.5, 2], [5.0, 2, 0]]])
    cut = cut_keypoints(points, 3, 1, (4, 5))
    assert cut.tolist() == [[[1, 1, 2], [5, 4, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]]]
    assert cut_keypoints(torch.zeros(0, 3, 3), 3, 1, (4, 5)).shape == (0, 3, 3)


def test_decode_at_the_resolution_of_the_heatmap():
    # One cell a pixel, so that nothing is interpolated.
    logits = torch.zeros(1, 2, 4, 6)
    logits[0, 0, 2, 5] = math.log(3)
    logits[0, 1, 0, 0] = 5.0
    box = torch.tensor([[100.0, 50.0, 106.0, 54.0]])
    found = decode_heatmaps(logits, box, "probability")
    assert found[0, 0, :2].tolist() == [105.5, 52.5]
    assert found[0, 1, :2].tolist() == [100.5, 50.5]
    assert found[0, 0, 2].item() == pytest.approx(3 / (23 + 3))  # of 24 cells
    assert decode_heatmaps(logits, box, "one")[0, :, 2].tolist() == [1, 1]


def test_decode_of_a_box_that_is_no_whole_number_of_pixels():
    # 5.5 pixels are 6 cells of 5.5 / 6 pixels; 0.25 pixels count as 1.
    logits = torch.zeros(1, 1, 1, 6)
    logits[0, 0, 0, 3] = 9.0
    box = torch.tensor([[10.0, 20.0, 15.5, 20.25]])
    [[[x, y, _]]] = decode_heatmaps(logits, box, "one").tolist()
    assert x == pytest.approx(10 + 3.5 * 5.5 / 6)
    assert y == pytest.approx(20.5)


def test_decode_interpolates_between_cells():
    # A peak of two equal cells lies between them once there are three times as many.
    logits = torch.zeros(1, 1, 1, 8)
    logits[0, 0, 0, 3:5] = 4.0
    box = torch.tensor([[0.0, 0.0, 25.0, 1.0]])  # 25 cells, the middle one at 12.5
    assert decode_heatmaps(logits, box, "one")[0, 0, 0].item() == 12.5


@pytest.mark.parametrize("method", ["one", "probability"])
def test_nothing_to_decode(method):
    assert decode_heatmaps(torch.zeros(0, 17, 56, 56), torch.zeros(0, 4), method).shape == (
        0,
        17,
        3,
    )


def test_probability_does_not_overflow():
    logits = torch.full((1, 1, 4, 4), 500.0)
    logits[0, 0, 1, 1] = 1000.0
    box = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    assert decode_heatmaps(logits, box, "probability")[0, 0].tolist() == [1.5, 1.5, 1.0]
