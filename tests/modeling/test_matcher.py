import pytest
import torch

from pet.modeling.matcher import BACKGROUND, FOREGROUND, IGNORED, match_boxes


def test_thresholds_by_hand():
    iou = torch.tensor(
        [
            [0.70, 0.69, 0.30, 0.29, 0.00],
            [0.10, 0.20, 0.40, 0.10, 0.00],
        ]
    )
    index, labels = match_boxes(iou, 0.7, 0.3)
    # From 0.7 on foreground, below 0.3 background.
    assert labels.tolist() == [FOREGROUND, IGNORED, IGNORED, BACKGROUND, BACKGROUND]
    assert index[:4].tolist() == [0, 0, 1, 0]
    assert index.dtype == labels.dtype == torch.int64


def test_the_background_threshold_itself_is_not_below_it():
    _, labels = match_boxes(torch.tensor([[0.25, 0.2499, 0.75, 0.7499]]), 0.75, 0.25)
    assert labels.tolist() == [IGNORED, BACKGROUND, FOREGROUND, IGNORED]


def test_one_threshold_ignores_nothing():
    iou = torch.tensor([[0.5, 0.49, 0.0, 1.0]])
    _, labels = match_boxes(iou, 0.5, 0.5)
    assert labels.tolist() == [FOREGROUND, BACKGROUND, BACKGROUND, FOREGROUND]


def test_low_quality_gives_every_box_its_best_candidates():
    iou = torch.tensor(
        [
            [0.8, 0.2, 0.5, 0.1],
            [0.0, 0.1, 0.6, 0.25],
            [0.0, 0.2, 0.0, 0.2],  # two candidates share the best place
        ]
    )
    plain, low = match_boxes(iou, 0.7, 0.3), match_boxes(iou, 0.7, 0.3, allow_low_quality=True)
    assert plain[1].tolist() == [FOREGROUND, BACKGROUND, IGNORED, BACKGROUND]
    assert low[1].tolist() == [FOREGROUND, FOREGROUND, FOREGROUND, FOREGROUND]
    # The last candidate is foreground for box 2, yet belongs to box 1, which it overlaps more.
    assert low[0].tolist()[2:] == [1, 1]
    assert torch.equal(plain[0], low[0])


def test_low_quality_does_not_lift_what_overlaps_nothing():
    iou = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.4, 0.0]])
    _, labels = match_boxes(iou, 0.7, 0.3, allow_low_quality=True)
    assert labels.tolist() == [BACKGROUND, FOREGROUND, BACKGROUND]


@pytest.mark.parametrize("allow_low_quality", [True, False])
@pytest.mark.parametrize("candidates", [0, 3])
def test_without_boxes_all_is_background(candidates, allow_low_quality):
    index, labels = match_boxes(torch.zeros(0, candidates), 0.7, 0.3, allow_low_quality)
    assert labels.tolist() == [BACKGROUND] * candidates
    assert index.tolist() == [0] * candidates


def test_matching_leaves_the_overlaps_alone():
    iou = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    before = iou.clone()
    match_boxes(iou, 0.5, 0.3, allow_low_quality=True)
    assert torch.equal(iou, before)
