import pytest
import torch
import torchvision.ops
from torch import Tensor

from pet.modeling.rcnn.proposals import ProposalRule, select_proposals
from pet.ops.boxes import decode_boxes

SIZES = ((64, 80), (50, 70))
UNIT = (1.0, 1.0, 1.0, 1.0)
RULE = ProposalRule(pre_nms_top_n=40, post_nms_top_n=30, nms_thresh=0.6, min_size=0.0)


def random_levels(seed: int = 0) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return logits, deltas and anchors of three levels for two images."""
    generator = torch.Generator().manual_seed(seed)
    logits, deltas, anchors = [], [], []
    for count, side in ((150, 12.0), (60, 24.0), (20, 48.0)):
        logits.append(torch.randn(2, count, generator=generator))
        deltas.append(torch.randn(2, count, 4, generator=generator) * 0.3)
        centre = torch.rand(count, 2, generator=generator) * torch.tensor([80.0, 64.0])
        anchors.append(torch.cat([centre - side / 2, centre + side / 2], dim=1))
    return logits, deltas, anchors


def step_by_step(
    logits: list[Tensor], deltas: list[Tensor], anchors: list[Tensor], rule: ProposalRule
) -> list[Tensor]:
    """Return the proposals image by image, level by level."""
    proposals = []
    for image, size in enumerate(SIZES):
        kept = []
        for logit, delta, anchor in zip(logits, deltas, anchors, strict=True):
            best = logit[image].argsort(descending=True)[: rule.pre_nms_top_n]
            boxes = decode_boxes(delta[image, best], anchor[best], UNIT)
            boxes = torchvision.ops.clip_boxes_to_image(boxes, size)
            sides = boxes[:, 2:] - boxes[:, :2]
            fits = ((sides > 0) & (sides >= rule.min_size)).all(dim=1)
            boxes, scores = boxes[fits], logit[image, best][fits]
            for i in torchvision.ops.nms(boxes, scores, rule.nms_thresh).tolist():
                kept.append((scores[i].item(), boxes[i]))
        kept.sort(key=lambda pair: -pair[0])
        proposals.append(torch.stack([box for _, box in kept[: rule.post_nms_top_n]]))
    return proposals


@pytest.mark.parametrize(
    "rule",
    [
        RULE,
        ProposalRule(
            pre_nms_top_n=1000, post_nms_top_n=1000, nms_thresh=0.7, min_size=0.0
        ),  # nothing is cut
        ProposalRule(pre_nms_top_n=40, post_nms_top_n=30, nms_thresh=0.6, min_size=10.0),
    ],
)
def test_proposals_equal_those_made_step_by_step(rule):
    levels = random_levels()
    found = select_proposals(*levels, SIZES, rule)
    for ours, wanted in zip(found, step_by_step(*levels, rule), strict=True):
        torch.testing.assert_close(ours, wanted)
        assert 0 < len(ours) <= rule.post_nms_top_n


def test_images_do_not_influence_each_other():
    logits, deltas, anchors = random_levels()
    together = select_proposals(logits, deltas, anchors, SIZES, RULE)
    for n, size in enumerate(SIZES):
        one = slice(n, n + 1)
        [alone] = select_proposals(
            [x[one] for x in logits], [x[one] for x in deltas], anchors, [size], RULE
        )
        assert torch.equal(together[n], alone)


def test_boxes_of_two_levels_do_not_suppress_each_other():
    anchor = torch.tensor([[0.0, 0.0, 20.0, 20.0]])
    logits = [torch.tensor([[1.0]]), torch.tensor([[2.0]])]
    zero = [torch.zeros(1, 1, 4)] * 2
    [found] = select_proposals(logits, zero, [anchor, anchor], [(64, 64)], RULE)
    assert len(found) == 2
    [found] = select_proposals(
        [torch.cat(logits, 1)], [torch.zeros(1, 2, 4)], [anchor.repeat(2, 1)], [(64, 64)], RULE
    )
    assert len(found) == 1


def test_boxes_are_clipped_and_what_is_left_outside_dropped():
    anchors = torch.tensor(
        [
            [-10.0, -10.0, 30.0, 20.0],
            [70.0, 10.0, 90.0, 30.0],  # right of the image, within the padding
            [0.0, 0.0, float("nan"), 5.0],
        ]
    )
    [found] = select_proposals(
        [torch.tensor([[0.0, 5.0, 5.0]])], [torch.zeros(1, 3, 4)], [anchors], [(50, 60)], RULE
    )
    assert found.tolist() == [[0.0, 0.0, 30.0, 20.0]]


def test_a_broken_score_is_dropped():
    anchors = torch.tensor([[0.0, 0.0, 10.0, 10.0], [30.0, 30.0, 40.0, 40.0]])
    logits = [torch.tensor([[float("nan"), 0.0]])]
    [found] = select_proposals(logits, [torch.zeros(1, 2, 4)], [anchors], [(64, 64)], RULE)
    assert found.tolist() == [[30.0, 30.0, 40.0, 40.0]]


def test_no_proposals_at_all():
    logits, deltas, anchors = random_levels()
    found = select_proposals(
        logits,
        deltas,
        anchors,
        SIZES,
        ProposalRule(pre_nms_top_n=40, post_nms_top_n=30, nms_thresh=0.6, min_size=1e4),
    )
    assert [boxes.shape for boxes in found] == [(0, 4), (0, 4)]


def test_no_gradient_flows_through_proposals():
    logits, deltas, anchors = random_levels()
    for tensor in (*logits, *deltas):
        tensor.requires_grad_()
    found = select_proposals(logits, deltas, anchors, SIZES, RULE)
    assert not any(boxes.requires_grad for boxes in found)
