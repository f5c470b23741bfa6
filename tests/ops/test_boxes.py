import pytest
import torch
import torchvision.ops
from torch import Tensor

from pet.ops import boxes as ops

FAST_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
NO_BOXES = torch.zeros(0, 4)


def random_boxes(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 100
    return torch.cat([corner, corner + 1 + torch.rand(count, 2, generator=generator) * 60], dim=1)


def test_area_is_width_times_height_with_no_pixel_added():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 5.0], [2.5, 3.0, 4.0, 3.0], [1.0, 1.0, 2.0, 2.0]])
    assert ops.box_area(boxes).tolist() == [50.0, 0.0, 1.0]
    assert ops.box_area(boxes[:, None]).shape == (3, 1)
    assert ops.box_area(NO_BOXES).shape == (0,)


def test_iou_by_hand():
    a = torch.tensor([[0.0, 0.0, 10.0, 10.0], [5.0, 5.0, 5.0, 5.0]])
    b = torch.tensor(
        [
            [0.0, 0.0, 10.0, 10.0],  # the same: 1
            [5.0, 0.0, 15.0, 10.0],  # 50 of 150
            [10.0, 0.0, 20.0, 10.0],  # only an edge in common
            [0.0, 0.0, 5.0, 5.0],  # inside: 25 of 100
            [5.0, 5.0, 5.0, 5.0],  # empty
        ]
    )
    iou = ops.box_iou(a, b)
    torch.testing.assert_close(iou[0], torch.tensor([1.0, 1 / 3, 0.0, 0.25, 0.0]))
    assert iou[1].tolist() == [0.0] * 5  # two empty boxes too: 0, not NaN


def test_iou_agrees_with_torchvision():
    a, b = random_boxes(30, 1), random_boxes(40, 2)
    torch.testing.assert_close(ops.box_iou(a, b), torchvision.ops.box_iou(a, b))


def test_iou_with_no_boxes():
    assert ops.box_iou(NO_BOXES, random_boxes(3)).shape == (0, 3)
    assert ops.box_iou(random_boxes(3), NO_BOXES).shape == (3, 0)


def test_clip_agrees_with_torchvision():
    boxes = random_boxes(50) * 2 - 60
    wanted = torchvision.ops.clip_boxes_to_image(boxes, (90, 70))
    assert torch.equal(ops.clip_boxes(boxes, (90, 70)), wanted)
    assert torch.equal(ops.clip_boxes(boxes.view(5, 10, 4), (90, 70)), wanted.view(5, 10, 4))
    assert ops.clip_boxes(NO_BOXES, (90, 70)).shape == (0, 4)


def test_scale_and_flip_by_hand():
    boxes = torch.tensor([[1.0, 2.0, 4.0, 6.0]])
    assert ops.scale_boxes(boxes, 2.0, 0.5).tolist() == [[2.0, 1.0, 8.0, 3.0]]
    assert ops.flip_boxes(boxes, 10).tolist() == [[6.0, 2.0, 9.0, 6.0]]
    assert ops.scale_boxes(NO_BOXES, 2.0, 0.5).shape == (0, 4)
    assert ops.flip_boxes(NO_BOXES, 10).shape == (0, 4)


def test_flipping_twice_changes_nothing():
    boxes = random_boxes(20).round()
    assert torch.equal(ops.flip_boxes(ops.flip_boxes(boxes, 200), 200), boxes)


def test_valid_boxes_are_finite_and_not_empty():
    boxes = torch.tensor(
        [
            [0.0, 0.0, 2.0, 3.0],
            [0.0, 0.0, 0.0, 3.0],  # no width
            [3.0, 0.0, 2.0, 3.0],  # turned round
            [0.0, 0.0, float("nan"), 3.0],
            [0.0, 0.0, float("inf"), 3.0],
        ]
    )
    assert ops.valid_boxes(boxes).tolist() == [True, False, False, False, False]
    assert ops.valid_boxes(boxes, min_size=2.0)[0]  # the shorter side is just as long
    assert not ops.valid_boxes(boxes, min_size=2.5)[0]
    assert ops.valid_boxes(NO_BOXES).shape == (0,)


def test_encoding_by_hand():
    anchor = torch.tensor([[0.0, 0.0, 10.0, 20.0]])  # centre (5, 10)
    box = torch.tensor([[0.0, 10.0, 20.0, 30.0]])  # centre (10, 20), twice as wide, as high
    deltas = ops.encode_boxes(box, anchor, (10.0, 10.0, 5.0, 5.0))
    log_2 = torch.log(torch.tensor(2.0)).item()
    torch.testing.assert_close(deltas, torch.tensor([[5.0, 5.0, 5 * log_2, 0.0]]))


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), FAST_WEIGHTS])
def test_decoding_undoes_encoding(weights):
    boxes, anchors = random_boxes(40, 3), random_boxes(40, 4)
    deltas = ops.encode_boxes(boxes, anchors, weights)
    decoded = ops.decode_boxes(deltas, anchors, weights)
    torch.testing.assert_close(decoded, boxes, atol=1e-3, rtol=1e-5)


def test_decoding_nothing_returns_the_anchors():
    anchors = random_boxes(5)
    torch.testing.assert_close(ops.decode_boxes(torch.zeros(5, 4), anchors, FAST_WEIGHTS), anchors)


def test_decoding_broadcasts_classes_over_boxes():
    deltas = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))
    anchors = random_boxes(6)
    decoded = ops.decode_boxes(deltas, anchors[:, None], FAST_WEIGHTS)
    assert decoded.shape == (6, 3, 4)
    one = ops.decode_boxes(deltas[:, 1], anchors, FAST_WEIGHTS)
    torch.testing.assert_close(decoded[:, 1], one)


def test_a_wild_delta_stays_finite():
    anchor = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    box = ops.decode_boxes(torch.tensor([[0.0, 0.0, 1e4, 1e4]]), anchor, (1.0, 1.0, 1.0, 1.0))
    torch.testing.assert_close(box, torch.tensor([[-492.0, -492.0, 508.0, 508.0]]))  # 1000 wide


def test_coding_no_boxes():
    assert ops.encode_boxes(NO_BOXES, NO_BOXES, FAST_WEIGHTS).shape == (0, 4)
    assert ops.decode_boxes(NO_BOXES, NO_BOXES, FAST_WEIGHTS).shape == (0, 4)


def test_vertical_flip_turn_and_shift_by_hand():
    boxes = torch.tensor([[1.0, 2.0, 4.0, 6.0]])
    assert ops.flip_boxes_vertically(boxes, 8).tolist() == [[1.0, 2.0, 4.0, 6.0]]
    assert ops.flip_boxes_vertically(boxes, 10).tolist() == [[1.0, 4.0, 4.0, 8.0]]
    assert ops.turn_boxes(boxes, 10).tolist() == [[2.0, 6.0, 6.0, 9.0]]
    assert ops.shift_boxes(boxes, -1, 0.5).tolist() == [[0.0, 2.5, 3.0, 6.5]]
    assert ops.flip_boxes_vertically(NO_BOXES, 10).shape == (0, 4)
    assert ops.turn_boxes(NO_BOXES, 10).shape == (0, 4)
    assert ops.shift_boxes(NO_BOXES, 1, 2).shape == (0, 4)


def test_four_turns_change_nothing():
    turned = boxes = random_boxes(20).round()
    for width in (200, 300, 200, 300):
        turned = ops.turn_boxes(turned, width)
    assert torch.equal(turned, boxes)
