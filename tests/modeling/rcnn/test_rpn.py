import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pet.modeling.anchors import AnchorGenerator
from pet.modeling.rcnn import rpn as rpn_module
from pet.modeling.rcnn.proposals import ProposalRule
from pet.modeling.rcnn.rpn import RPN, build_rpn
from pet.modeling.rcnn.rpn_head import RPNHead
from pet.modeling.rcnn.rpn_head_at_anchors import is_faster_at, predict_at
from pet.modeling.rcnn.rpn_loss import RPNLossRule
from tests.modeling.rcnn.small import box_targets, losses_of_all, without_pyramid

RULE = RPNLossRule(fg_iou=0.7, bg_iou=0.3, batch_size=8, positive_fraction=0.5, smooth_l1_beta=0.0)
NO_CUT = ProposalRule(pre_nms_top_n=1000, post_nms_top_n=1000, nms_thresh=1.0, min_size=0.0)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


# One ground-truth box, [0, 0, 10, 8], and four anchors.
ANCHORS = torch.tensor(
    [
        [0.0, 0.0, 10.0, 10.0],  # IoU 0.8: foreground
        [0.0, 0.0, 10.0, 20.0],  # IoU 0.4: ignored
        [0.0, 6.0, 10.0, 16.0],  # IoU 2 / 16: background
        [50.0, 50.0, 60.0, 60.0],  # background
    ]
)
LOGITS = torch.tensor([0.5, 9.0, -1.0, 2.0])
OBJECTNESS = softplus(-0.5) + softplus(-1.0) + softplus(2.0)
# The wanted delta of the first anchor: centre up by 1 of 10 pixels, height times 0.8.
WANTED = [0.0, -0.1, 0.0, math.log(0.8)]


def losses(deltas: Tensor, *targets, rule: RPNLossRule = RULE) -> dict[str, float]:
    count = len(targets)
    found = losses_of_all(
        LOGITS.expand(count, -1), deltas.expand(count, -1, -1), ANCHORS, targets, rule
    )
    return {name: loss.item() for name, loss in found.items()}


def test_losses_of_one_box_by_hand():
    deltas = torch.full((4, 4), 0.3)
    found = losses(deltas, box_targets([[0, 0, 10, 8]], [2]))
    assert found["loss_objectness"] == pytest.approx(OBJECTNESS / 8)
    apart = sum(abs(0.3 - wanted) for wanted in WANTED)
    assert found["loss_rpn_box_reg"] == pytest.approx(apart / 8)


def test_smooth_l1_is_quadratic_near_the_target():
    deltas = torch.tensor(WANTED) + torch.tensor([0.1, 0.0, 0.0, 0.5])
    rule = RPNLossRule(
        fg_iou=0.7, bg_iou=0.3, batch_size=8, positive_fraction=0.5, smooth_l1_beta=0.2
    )
    found = losses(deltas.expand(4, 4), box_targets([[0, 0, 10, 8]], [2]), rule=rule)
    wanted = 0.1**2 / (2 * 0.2) + (0.5 - 0.2 / 2)
    assert found["loss_rpn_box_reg"] == pytest.approx(wanted / 8)


def test_the_right_deltas_cost_nothing():
    found = losses(torch.tensor(WANTED).expand(4, 4), box_targets([[0, 0, 10, 8]], [1]))
    assert found["loss_rpn_box_reg"] == pytest.approx(0, abs=1e-6)


def test_both_losses_are_divided_by_images_times_anchors():
    one, none = box_targets([[0, 0, 10, 8]], [2]), box_targets([], [])
    found = losses(torch.full((4, 4), 0.3), one, none)
    # The image with no box is all background.
    background = softplus(0.5) + softplus(9.0) + softplus(-1.0) + softplus(2.0)
    assert found["loss_objectness"] == pytest.approx((OBJECTNESS + background) / 16)
    apart = sum(abs(0.3 - wanted) for wanted in WANTED)
    assert found["loss_rpn_box_reg"] == pytest.approx(apart / 16)


def test_the_best_anchor_of_a_box_is_foreground_however_small_the_overlap():
    target = box_targets([[50, 50, 100, 100]], [1])  # IoU 100 / 2500 with the last anchor
    deltas = torch.zeros(4, 4)
    found = losses(deltas, target)
    wanted = softplus(0.5) + softplus(9.0) + softplus(-1.0) + softplus(-2.0)
    assert found["loss_objectness"] == pytest.approx(wanted / 8)
    assert found["loss_rpn_box_reg"] == pytest.approx((2 + 2 + 2 * math.log(5)) / 8)


def test_no_boxes_cost_no_box_loss_and_leave_gradients():
    logits = LOGITS.expand(2, -1).clone().requires_grad_()
    deltas = torch.ones(2, 4, 4, requires_grad=True)
    none = box_targets([], [])
    found = losses_of_all(logits, deltas, ANCHORS, [none, none], RULE)
    assert found["loss_rpn_box_reg"].item() == 0
    sum(found.values()).backward()
    assert deltas.grad.abs().sum() == 0
    assert (logits.grad > 0).all()


def test_the_loss_sees_no_more_anchors_than_it_should():
    torch.manual_seed(0)
    anchors = torch.cat([ANCHORS[:1].repeat(20, 1), ANCHORS[3:].repeat(80, 1)])
    logits = torch.zeros(1, 100, requires_grad=True)
    target = box_targets([[0, 0, 10, 8]], [1])
    found = losses_of_all(logits, torch.zeros(1, 100, 4), anchors, [target], RULE)
    assert found["loss_objectness"].item() == pytest.approx(math.log(2))  # the mean of 8
    found["loss_objectness"].backward()
    seen = logits.grad[0] != 0
    assert (seen[:20].sum(), seen[20:].sum()) == (4, 4)


def test_the_heads_outputs_lie_in_the_order_of_the_anchors():
    torch.manual_seed(0)
    head = RPNHead(6, 3)
    feature = torch.randn(2, 6, 4, 5)
    [logits], [deltas] = head([feature])
    hidden = head.convs[0](feature).relu()
    logit_map, delta_map = head.cls_logits(hidden), head.bbox_pred(hidden)
    assert logits.shape == (2, 4 * 5 * 3)
    assert deltas.shape == (2, 4 * 5 * 3, 4)
    for y, x, anchor in ((0, 0, 0), (0, 4, 1), (3, 2, 2)):
        place = (y * 5 + x) * 3 + anchor
        assert torch.equal(logits[:, place], logit_map[:, anchor, y, x])
        assert torch.equal(deltas[:, place], delta_map[:, anchor * 4 : anchor * 4 + 4, y, x])


def test_the_head_takes_maps_in_any_memory_order():
    torch.manual_seed(0)
    head, feature = RPNHead(6, 3), torch.randn(2, 6, 4, 5)
    last = feature.contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(head([last]), head([feature]), strict=True):
        torch.testing.assert_close(ours, theirs)


class HotAnchor(nn.Module):
    """A head that has found one anchor, at ``place`` of the first of two levels."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        counts = [f.shape[-2] * f.shape[-1] * 3 for f in features]
        logits = [torch.zeros(1, count) for count in counts]
        logits[0][:, self.place] = 10.0
        return logits, [torch.zeros(1, count, 4) for count in counts]


def test_a_hot_anchor_is_the_first_proposal():
    anchors = AnchorGenerator(sizes=[(8,), (16,)], ratios=(0.5, 1.0, 2.0), strides=(4, 8))
    y, x, square = 3, 5, 1
    rpn = RPN(HotAnchor((y * 16 + x) * 3 + square), anchors, NO_CUT, NO_CUT, RULE)
    [proposals], no_losses = rpn([torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 8, 8)], [(64, 64)])
    assert proposals[0].tolist() == [20 - 4, 12 - 4, 20 + 4, 12 + 4]
    assert no_losses == {}


def test_training_and_testing_each_have_their_rule():
    anchors = AnchorGenerator(sizes=[(8,), (16,)], ratios=(0.5, 1.0, 2.0), strides=(4, 8))
    train_rule, test_rule = (
        ProposalRule(pre_nms_top_n=50, post_nms_top_n=9, nms_thresh=1.0, min_size=0.0),
        ProposalRule(pre_nms_top_n=50, post_nms_top_n=5, nms_thresh=1.0, min_size=0.0),
    )
    rpn = RPN(HotAnchor(0), anchors, train_rule, test_rule, RULE)
    features = [torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 8, 8)]
    proposals, found = rpn(features, [(64, 64)], [box_targets([[4, 4, 12, 12]], [1])])
    assert len(proposals[0]) == 9
    assert set(found) == {"loss_objectness", "loss_rpn_box_reg"}
    assert len(rpn.eval()(features, [(64, 64)])[0][0]) == 5


def test_the_config_gives_each_level_its_size_or_one_level_all(fresh_cfg):
    pyramid = build_rpn(8, fresh_cfg)
    assert pyramid.anchors.cells.shape == (5, 3, 4)
    assert pyramid.anchors.strides == (4, 8, 16, 32, 64)
    single = build_rpn(8, without_pyramid(fresh_cfg))
    assert single.anchors.cells.shape == (1, 15, 4)
    assert single.head.cls_logits.out_channels == 15
    assert single.head.bbox_pred.out_channels == 60


def test_losses_may_be_divided_by_what_was_sampled():
    # One anchor of the first image is foreground and two background; of the second all four.
    one, none = box_targets([[0, 0, 10, 8]], [2]), box_targets([], [])
    deltas = torch.full((4, 4), 0.3)
    by_batch = losses(deltas, one, none)
    by_sample = losses(deltas, one, none, rule=replace(RULE, per_sampled=True))
    for name, value in by_sample.items():
        assert value == pytest.approx(by_batch[name] * 16 / 7)


def test_no_anchors_at_all_divide_by_nothing():
    rule = replace(RULE, per_sampled=True)
    empty = torch.zeros(1, 0), torch.zeros(1, 0, 4), torch.zeros(0, 4)
    found = losses_of_all(*empty, [box_targets([], [])], rule)
    assert [loss.item() for loss in found.values()] == [0, 0]


def test_the_head_may_have_several_convolutions():
    torch.manual_seed(0)
    head, feature = RPNHead(6, 3, num_convs=2), torch.randn(2, 6, 4, 5)
    hidden = head.convs[1](head.convs[0](feature).relu()).relu()
    wanted = head.cls_logits(hidden).permute(0, 2, 3, 1).flatten(1)
    torch.testing.assert_close(head([feature])[0][0], wanted)


def test_proposals_as_detections():
    features = [torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(0))]
    rpn = RPN(
        RPNHead(4, 1),
        AnchorGenerator(sizes=[(16,)], ratios=[1.0], strides=[8]),
        NO_CUT,
        NO_CUT,
        RULE,
    ).eval()
    nn.init.normal_(rpn.head.cls_logits.weight)
    rpn.test_rule = ProposalRule(
        pre_nms_top_n=1000, post_nms_top_n=20, nms_thresh=0.7, min_size=0.0
    )
    sizes = [(48, 64), (40, 60)]
    found = rpn.detect(features, sizes)
    proposals, _ = rpn(features, sizes)
    for one, boxes, size in zip(found, proposals, sizes, strict=True):
        assert torch.equal(one.boxes, boxes) and one.size == size
        assert one.labels.tolist() == [1] * 20
        assert (one.scores.diff() <= 0).all() and (one.scores > 0).all() and (one.scores < 1).all()
    # The anchor of the largest logit is the best, if it is not cut off at the border.
    logits = rpn.head(features)[0][0][0]
    torch.testing.assert_close(found[0].scores[0], logits.max().sigmoid())


def test_losses_alone_are_those_beside_the_proposals():
    torch.manual_seed(0)
    rpn = RPN(
        RPNHead(4, 1),
        AnchorGenerator(sizes=[(16,)], ratios=[1.0], strides=[8]),
        NO_CUT,
        NO_CUT,
        RULE,
    )
    features, target = [torch.randn(1, 4, 6, 8)], box_targets([[4, 4, 20, 22]], [1], (48, 64))
    rpn.loss_rule = replace(RULE, batch_size=1000)  # nothing is drawn
    _, wanted = rpn(features, [(48, 64)], [target])
    losses = rpn.losses(features, [target])
    assert set(losses) == set(wanted)
    for name, loss in losses.items():
        assert loss > 0 and torch.equal(loss, wanted[name])


# Gradients of a few anchors alone ----------------------------------------------------------------

SIZES = ((6, 9), (3, 5), (2, 1), (1, 1))  # of the levels: in the last all is border


def pyramid(images: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(images, 4, *size, generator=generator).double() for size in SIZES]
    return [level.contiguous(memory_format=torch.channels_last) for level in maps]


ANCHORS_OF_LEVELS = AnchorGenerator(
    sizes=[(8,), (16,), (32,), (48,)], ratios=[0.5, 1.0, 2.0], strides=[8, 16, 32, 64]
)
TWO = [  # images
    box_targets([[4, 4, 20, 22], [30, 8, 60, 40]], [1, 2], (48, 72)),
    box_targets([], [], (48, 72)),
]


def large_head(num_convs: int) -> RPNHead:
    torch.manual_seed(1)
    head = RPNHead(4, 3, num_convs)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.5)
    return head.double()


def gradients(head: RPNHead, maps: list[Tensor], logits: Tensor, deltas: Tensor) -> list[Tensor]:
    weight = torch.arange(len(logits)).double() + 1
    loss = (logits * weight).sum() + (deltas * weight[:, None] * torch.arange(4)).sum()
    return list(torch.autograd.grad(loss, [*head.parameters(), *maps]))


@pytest.mark.parametrize("num_convs", [1, 2, 3])
def test_what_is_said_at_any_anchor_is_what_is_said_of_all(num_convs):
    head, maps = large_head(num_convs), [level.requires_grad_() for level in pyramid()]
    count = sum(height * width for height, width in SIZES) * 3
    image = torch.arange(2).repeat_interleave(count)
    anchor = torch.arange(count).repeat(2)
    mixed = torch.randperm(2 * count, generator=torch.Generator().manual_seed(2))
    image, anchor = image[mixed], anchor[mixed]
    logits, deltas = head(maps)
    wanted = torch.cat(logits, dim=1)[image, anchor], torch.cat(deltas, dim=1)[image, anchor]
    found = predict_at(head, maps, image, anchor)
    torch.testing.assert_close(found, wanted)
    for ours, theirs in zip(
        gradients(head, maps, *found), gradients(head, maps, *wanted), strict=True
    ):
        assert theirs.abs().sum() > 0
        torch.testing.assert_close(ours, theirs)


def test_no_anchors_leave_gradients_of_nothing():
    head, maps = large_head(2), [level.requires_grad_() for level in pyramid()]
    nothing = torch.zeros(0, dtype=torch.long)
    found = predict_at(head, maps, nothing, nothing)
    assert found[0].shape == (0,) and found[1].shape == (0, 4)
    assert all(grad.abs().sum() == 0 for grad in gradients(head, maps, *found))


def test_few_anchors_are_asked_alone():
    maps = [torch.zeros(2, 4, 10, 20), torch.zeros(2, 4, 5, 10)]  # 500 pixels
    assert is_faster_at(RPNHead(4, 3), maps, 55)  # each reads 9
    assert not is_faster_at(RPNHead(4, 3), maps, 56)
    assert is_faster_at(RPNHead(4, 3, 2), maps, 20)  # each reads 25
    assert not is_faster_at(RPNHead(4, 3, 2), maps, 21)


def trained(ask: bool, precision: torch.dtype, monkeypatch) -> tuple[list[Tensor], dict, list]:
    """Return the proposals, losses and gradients of an RPN that does or does not ask some alone."""
    monkeypatch.setattr(rpn_module, "is_faster_at", lambda *_: ask)
    head, maps = large_head(2).float(), [level.float().requires_grad_() for level in pyramid()]
    whole_maps = []
    head.register_forward_hook(lambda *_: whole_maps.append(torch.is_grad_enabled()))
    rpn = RPN(head, ANCHORS_OF_LEVELS, NO_CUT, NO_CUT, RULE)
    torch.manual_seed(3)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        proposals, losses = rpn(maps, [(48, 72)] * 2, TWO)
    assert whole_maps == [not ask]  # with gradients or without
    sum(losses.values()).backward()
    return proposals, losses, [tensor.grad for tensor in (*head.parameters(), *maps)]


def test_the_loss_of_a_few_anchors_is_that_of_whole_maps(monkeypatch):
    alone, whole = (trained(ask, torch.float32, monkeypatch) for ask in (True, False))
    assert all(loss > 0.01 for loss in whole[1].values())
    torch.testing.assert_close(alone, whole, rtol=1e-4, atol=1e-5)


def test_weights_have_gradients_in_bfloat16(monkeypatch):
    _, losses, found = trained(True, torch.bfloat16, monkeypatch)
    exact = trained(True, torch.float32, monkeypatch)
    assert losses["loss_objectness"].item() == pytest.approx(
        exact[1]["loss_objectness"].item(), rel=0.02
    )
    for ours, theirs in zip(found, exact[2], strict=True):
        assert (ours - theirs).norm() <= 0.1 * theirs.norm()


def test_weights_converted_without_gradients_are_not_used_again(monkeypatch):
    # As autocast would, in PyTorch 2.6.
    monkeypatch.setattr(rpn_module, "is_faster_at", lambda *_: True)
    head, maps = large_head(2).float(), [level.float() for level in pyramid()]
    rpn = RPN(head, ANCHORS_OF_LEVELS, NO_CUT, NO_CUT, RULE)
    with torch.autocast("cpu", torch.bfloat16):
        rpn(maps, [(48, 72)] * 2, TWO)
        logits, deltas = head(maps)
    (torch.cat(logits, dim=1).sum() + torch.cat(deltas, dim=1).sum()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_a_logit_that_nobody_sees_does_not_count():
    # The second anchor is neither foreground nor background, and there are only three to choose.
    logits = LOGITS.clone()
    logits[1] = torch.nan
    deltas = torch.full((1, 4, 4), 0.3)
    found = losses_of_all(logits[None], deltas, ANCHORS, [box_targets([[0, 0, 10, 8]], [2])], RULE)
    assert found["loss_objectness"].item() == pytest.approx(OBJECTNESS / 8)
