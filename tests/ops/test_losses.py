import math

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

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


def test_focal_loss_by_hand():
    logits = torch.tensor([[0.0, math.log(3.0)], [math.log(3.0), -50.0]])  # p 1/2, 3/4; 3/4, 0
    target = torch.tensor([[True, True], [False, False]])
    # alpha (1 - p)^2 -log(p) of what is true, (1 - alpha) p^2 -log(1 - p) of what is not.
    first = 0.25 * (1 / 4 * math.log(2) + 1 / 16 * math.log(4 / 3))
    second = 0.75 * 9 / 16 * math.log(4)
    both = ops.sigmoid_focal_sum(logits, target, torch.tensor([1, 2]), alpha=0.25, gamma=2.0)
    assert both.item() == pytest.approx(first + 2 * second)
    ignored = ops.sigmoid_focal_sum(logits, target, torch.tensor([True, False]), 0.25, 2.0)
    assert ignored.item() == pytest.approx(first)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 1.5), (0.5, 0.0)])
def test_focal_loss_and_its_gradient_are_torchvisions(alpha, gamma):
    torch.manual_seed(0)
    logits = (torch.randn(50, 7, dtype=torch.float64) * 8).requires_grad_()
    target = torch.rand(50, 7) < 0.3
    theirs = logits.detach().clone().requires_grad_()
    wanted = sigmoid_focal_loss(theirs, target.double(), alpha, gamma, reduction="sum")
    found = ops.sigmoid_focal_sum(logits, target, torch.ones(50), alpha, gamma)
    torch.testing.assert_close(found, wanted)
    found.backward()
    wanted.backward()
    torch.testing.assert_close(logits.grad, theirs.grad)


def test_focal_loss_of_confident_outputs_is_finite():
    logits = torch.tensor([[1e4, -1e4, 1e4, -1e4]], requires_grad=True)
    target = torch.tensor([[True, False, False, True]])
    loss = ops.sigmoid_focal_sum(logits, target, torch.ones(1), 0.25, 2.0)
    loss.backward()
    assert loss.item() == 1e4  # 0.75 and 0.25 of the two that are wrong
    assert logits.grad.tolist() == [[0, 0, 0.75, -0.25]]


def test_giou_by_hand():
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 3, 3]], requires_grad=True)
    target = torch.tensor([[0.0, 0, 2, 2], [1, 0, 2, 1], [1, 1, 2, 2]])
    # The same; side by side, with nothing left of what encloses them; IoU 1/9.
    for chosen, wanted in ((0, 0), (1, 1), (2, 8 / 9)):
        weight = torch.arange(3) == chosen
        loss = ops.giou_sum(boxes, target, weight)
        assert loss.item() == pytest.approx(wanted, abs=1e-6)
    loss.backward()
    assert boxes.grad[0].tolist() == boxes.grad[1].tolist() == [0, 0, 0, 0]
    assert boxes.grad[2].abs().min() > 0


def test_dense_losses_of_nothing_are_zero_with_a_gradient():
    none, true = torch.zeros(0), torch.zeros(0, 3, dtype=torch.bool)
    for loss, shape in ((ops.giou_sum, 4), (ops.sigmoid_focal_sum, 3)):
        pred = torch.zeros(0, shape, requires_grad=True)
        extra = (torch.zeros(0, 4), none) if shape == 4 else (true, none, 0.25, 2.0)
        value = loss(pred, *extra)
        value.backward()
        assert value.item() == 0
        assert pred.grad.shape == (0, shape)
