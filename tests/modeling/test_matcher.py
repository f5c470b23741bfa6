import pytest
import torch

from pet.modeling import matcher
from pet.modeling.matcher import BACKGROUND, FOREGROUND, IGNORED, match_boxes, match_overlaps
from pet.ops.boxes import box_iou


def test_thresholds_by_hand():
    iou = torch.tensor(
        [
            [0.70, 0.69, 0.30, 0.29, 0.00],
            [0.10, 0.20, 0.40, 0.10, 0.00],
        ]
    )
    index, labels = match_overlaps([iou], 0.7, 0.3)
    # From 0.7 on foreground, below 0.3 background.
    assert labels.tolist() == [FOREGROUND, IGNORED, IGNORED, BACKGROUND, BACKGROUND]
    assert index[:4].tolist() == [0, 0, 1, 0]
    assert index.dtype == labels.dtype == torch.int64


def test_the_background_threshold_itself_is_not_below_it():
    _, labels = match_overlaps([torch.tensor([[0.25, 0.2499, 0.75, 0.7499]])], 0.75, 0.25)
    assert labels.tolist() == [IGNORED, BACKGROUND, FOREGROUND, IGNORED]


def test_one_threshold_ignores_nothing():
    iou = torch.tensor([[0.5, 0.49, 0.0, 1.0]])
    _, labels = match_overlaps([iou], 0.5, 0.5)
    assert labels.tolist() == [FOREGROUND, BACKGROUND, BACKGROUND, FOREGROUND]


def test_low_quality_gives_every_box_its_best_candidates():
    iou = torch.tensor(
        [
            [0.8, 0.2, 0.5, 0.1],
            [0.0, 0.1, 0.6, 0.25],
            [0.0, 0.2, 0.0, 0.2],  # two candidates share the best place
        ]
    )
    plain, low = (
        match_overlaps([iou], 0.7, 0.3),
        match_overlaps([iou], 0.7, 0.3, allow_low_quality=True),
    )
    assert plain[1].tolist() == [FOREGROUND, BACKGROUND, IGNORED, BACKGROUND]
    assert low[1].tolist() == [FOREGROUND, FOREGROUND, FOREGROUND, FOREGROUND]
    # The last candidate is foreground for box 2, yet belongs to box 1, which it overlaps more.
    assert low[0].tolist()[2:] == [1, 1]
    assert torch.equal(plain[0], low[0])


def test_low_quality_does_not_lift_what_overlaps_nothing():
    iou = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.4, 0.0]])
    _, labels = match_overlaps([iou], 0.7, 0.3, allow_low_quality=True)
    assert labels.tolist() == [BACKGROUND, FOREGROUND, BACKGROUND]


@pytest.mark.parametrize("allow_low_quality", [True, False])
@pytest.mark.parametrize("candidates", [0, 3])
def test_without_boxes_all_is_background(candidates, allow_low_quality):
    index, labels = match_boxes(
        torch.zeros(0, 4), torch.rand(candidates, 4), 0.7, 0.3, allow_low_quality
    )
    assert labels.tolist() == [BACKGROUND] * candidates
    assert index.tolist() == [0] * candidates


def test_matching_leaves_the_overlaps_alone():
    iou = torch.rand(3, 5, generator=torch.Generator().manual_seed(0))
    before = iou.clone()
    match_overlaps([iou], 0.5, 0.3, allow_low_quality=True)
    assert torch.equal(iou, before)


def some_boxes(count: int, seed: int) -> torch.Tensor:
    corners = torch.rand(count, 4, generator=torch.Generator().manual_seed(seed)) * 50
    return torch.cat([corners[:, :2], corners[:, :2] + corners[:, 2:]], dim=1)


def test_rows_at_a_time_match_as_all_at_once():
    iou = box_iou(some_boxes(7, 0), some_boxes(300, 1))
    iou[5] = iou[2]  # of two boxes that a candidate overlaps alike, it belongs to the first
    whole = match_overlaps([iou], 0.5, 0.3, allow_low_quality=True)
    for sizes in ([1] * 7, [3, 4], [0, 7], [7, 0]):
        parts = match_overlaps(iou.split(sizes), 0.5, 0.3, allow_low_quality=True)
        assert torch.equal(parts[0], whole[0]) and torch.equal(parts[1], whole[1]), sizes
    assert set(whole[1].tolist()) == {FOREGROUND, BACKGROUND, IGNORED}


def test_a_crowd_is_never_compared_at_once(monkeypatch):
    gt_boxes, candidates = some_boxes(40, 0), some_boxes(300, 1)
    whole = match_boxes(gt_boxes, candidates, 0.5, 0.3, allow_low_quality=True)
    largest = []

    def watched(some, others):
        largest.append(len(some) * len(others))
        return box_iou(some, others)

    monkeypatch.setattr(matcher, "box_iou", watched)
    monkeypatch.setattr(matcher, "_MAX_PAIRS_CPU", 1000)
    parts = match_boxes(gt_boxes, candidates, 0.5, 0.3, allow_low_quality=True)
    assert max(largest) == 900 and len(largest) == 14
    assert torch.equal(parts[0], whole[0]) and torch.equal(parts[1], whole[1])
