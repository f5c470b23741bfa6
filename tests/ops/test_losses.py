import math

import pytest
import torch

from pet.ops import losses as ops


def test_smooth_l1_by_hand():
    pred = torch.tensor([0.0, 1.0, -3.0])
    target = torch.tensor([0.5, 1.0, 1.0])  # apart by 0.5, 0 and 4
    assert ops.smooth_l1_sum(pred, target, beta=0.0).item() == 4.5
    # Below beta x^2 / (2 beta), above it x - beta / 2: 0.125 + 0 + 3.5.
    assert ops.smooth_l1_sum(pred, target, beta=1.0).item() == pytest.approx(3.625)
    assert ops.smooth_l1_sum(pred, target, beta=0.25).item() == pytest.approx(0.375 + 3.875)


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_smooth_l1_pulls_with_slope_one_far_away(beta):
    pred = torch.tensor([[5.0, -5.0]], requires_grad=True)
    ops.smooth_l1_sum(pred, torch.zeros(1, 2), beta).backward()
    assert pred.grad.tolist() == [[1.0, -1.0]]


def test_smooth_l1_of_nothing_is_zero_with_a_gradient():
    for beta in (0.0, 1.0):
        pred = torch.zeros(0, 4, requires_grad=True)
        loss = ops.smooth_l1_sum(pred, torch.zeros(0, 4), beta)
        loss.backward()
        assert loss.item() == 0
        assert pred.grad.shape == (0, 4)


def test_mask_loss_by_hand():
    logits = torch.tensor([[[0.0, 2.0]], [[-1.0, 3.0]]])  # two masks of 1 x 2 pixels
    target = torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]]])
    wanted = (
        math.log(2)  # -log(sigmoid(0))
        + math.log1p(math.exp(-2.0))
        + math.log1p(math.exp(-1.0))
        + math.log1p(math.exp(3.0))
    ) / 4
    assert ops.mask_bce(logits, target).item() == pytest.approx(wanted)


def test_mask_loss_of_no_masks_is_zero_with_a_gradient():
    logits = torch.zeros(0, 28, 28, requires_grad=True)
    loss = ops.mask_bce(logits, torch.zeros(0, 28, 28))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.shape == (0, 28, 28)


def test_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, 0.0, 0.0], [math.log(2.0), 0.0, 0.0]])
    # Each of three classes alike: log 3. Two of four parts for class 0, one for class 2: log 4.
    loss = ops.cross_entropy_mean(logits, torch.tensor([1, 2]))
    assert loss.item() == pytest.approx((math.log(3) + math.log(4)) / 2)


def test_cross_entropy_of_nothing_is_zero_with_a_gradient():
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = ops.cross_entropy_mean(logits, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.shape == (0, 3)


def test_accuracy_counts_hits():
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [2.0, 1.0]], requires_grad=True)
    hits = ops.accuracy(logits, torch.tensor([0, 1, 0, 1]))
    assert hits.item() == 0.5
    assert not hits.requires_grad
    assert ops.accuracy(logits[:0], torch.zeros(0, dtype=torch.int64)).item() == 0
