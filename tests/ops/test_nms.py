import pytest
import torch
import torchvision.ops
from torch import Tensor

from pet.ops.nms import nms_by_group


def crowded_boxes(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return boxes in heaps, so that many overlap much, and their scores."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 10, (count, 2), generator=generator) * 30.0
    corner = corner + torch.randn(count, 2, generator=generator) * 3
    side = 40 + torch.randn(count, 2, generator=generator) * 4
    return torch.cat([corner, corner + side], dim=1), torch.randn(count, generator=generator)


def one_group_at_a_time(boxes: Tensor, scores: Tensor, groups: Tensor, thresh: float) -> list[int]:
    """Return what ``nms_by_group`` should, by plain NMS within each group."""
    kept = []
    for group in groups.unique():
        index = torch.nonzero(groups == group).squeeze(1)
        kept += index[torchvision.ops.nms(boxes[index], scores[index], thresh)].tolist()
    return sorted(kept, key=lambda i: -scores[i].item())


def test_only_boxes_of_a_group_suppress_each_other_by_hand():
    box = [0.0, 0.0, 10.0, 10.0]
    boxes = torch.tensor([box, box, [0.0, 0.0, 10.0, 8.0], box, [50.0, 50.0, 60.0, 60.0]])
    scores = torch.tensor([0.5, 0.9, 0.7, 0.6, 0.1])
    groups = torch.tensor([0, 0, 0, 1, 1])
    # In group 0 the second box suppresses its twin (IoU 1) and the third (IoU 0.8).
    assert nms_by_group(boxes, scores, groups, 0.5).tolist() == [1, 3, 4]


def test_the_threshold_itself_is_not_above_the_threshold():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]])  # IoU 0.5
    scores, groups = torch.tensor([0.9, 0.8]), torch.zeros(2, dtype=torch.int64)
    assert nms_by_group(boxes, scores, groups, 0.5).tolist() == [0, 1]
    assert nms_by_group(boxes, scores, groups, 0.49).tolist() == [0]


@pytest.mark.parametrize("count", [400, 1500])  # torchvision works otherwise on many boxes
def test_groups_at_once_agree_with_one_at_a_time(count):
    boxes, scores = crowded_boxes(count, seed=count)
    groups = torch.randint(0, 5, (count,), generator=torch.Generator().manual_seed(0))
    wanted = one_group_at_a_time(boxes, scores, groups, 0.6)
    assert nms_by_group(boxes, scores, groups, 0.6).tolist() == wanted
    assert 5 < len(wanted) < count


@pytest.mark.parametrize("count", [600, 1500])
def test_the_digits_are_those_of_torchvision(count):
    for seed in range(20):  # in float64 some of these seeds differ
        boxes, scores = crowded_boxes(count, seed)
        groups = torch.full((count,), 80)
        wanted = torchvision.ops.batched_nms(boxes, scores, groups, 0.7)
        assert torch.equal(nms_by_group(boxes, scores, groups, 0.7), wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_boxes(dtype):
    keep = nms_by_group(
        torch.zeros(0, 4, dtype=dtype),
        torch.zeros(0, dtype=dtype),
        torch.zeros(0, dtype=torch.int64),
        0.5,
    )
    assert keep.dtype == torch.int64
    assert keep.shape == (0,)
