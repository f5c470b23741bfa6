import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pet.config import CfgNode, freeze
from pet.modeling.postprocessing import DetectionRule
from pet.modeling.rcnn.generalized_rcnn import Generalized_RCNN
from pet.modeling.rcnn.retinanet import (
    CandidateRule,
    RetinaNet,
    RetinaNetLossRule,
    best_of_level,
    build_retinanet,
    loss_sums,
)
from pet.ops.soft_nms import SoftNMSRule
from pet.structures import Targets
from tests.modeling.rcnn.small import box_targets, noise_images, small_cfg

SCALES = [1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128]
SIZES = ((96, 128), (80, 110))


def retinanet_cfg() -> CfgNode:
    node = small_cfg()
    node.MODEL.MASK_ON = False
    node.MODEL.RETINANET_ON = True
    node.FPN.BODY = "fpn_p6p7"
    node.RETINANET.NUM_CONVS = 1
    node.RETINANET.ANCHOR_SIZES = (16, 32, 64, 96, 128)
    node.RETINANET.SCORE_THRESH = 0.0
    node.RETINANET.DETECTIONS_PER_IMG = 10
    return node


def build(node: CfgNode) -> Generalized_RCNN:
    torch.manual_seed(0)
    return Generalized_RCNN(node)


def targets_of() -> list[Targets]:
    return [
        box_targets([[10, 10, 60, 50], [30, 40, 90, 90]], [2, 3], SIZES[0]),
        box_targets([[5, 5, 100, 75]], [1], SIZES[1]),
    ]


# The model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalizer", ["batch", "image", "average"])
@pytest.mark.parametrize("box_loss", ["smooth_l1", "giou"])
def test_a_model_trains_and_detects(normalizer, box_loss):
    node = retinanet_cfg()
    node.RETINANET.LOSS_NORMALIZER, node.RETINANET.BOX_LOSS = normalizer, box_loss
    freeze(node)
    model, images = build(node).train(), noise_images(*SIZES)
    outputs = model(images, targets_of())
    assert list(outputs["losses"]) == ["loss_classifier", "loss_box_reg"]
    assert all(value.shape == () and value.item() > 0 for value in outputs["losses"].values())
    torch.testing.assert_close(outputs["total_loss"], sum(outputs["losses"].values()))
    outputs["total_loss"].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
    with torch.no_grad():
        found = model.eval()(images)
    assert [one.size for one in found] == list(SIZES)
    for one in found:
        assert len(one) == 10
        assert (one.labels >= 1).all() and (one.labels <= 3).all()
        assert (one.boxes >= 0).all()
        assert (one.boxes <= torch.tensor([*one.size[::-1]] * 2)).all()
        assert (one.scores[:-1] >= one.scores[1:]).all()
        assert one.mask_probs is None


def test_there_are_no_proposals_and_no_heads():
    model = build(retinanet_cfg())
    assert model.RPN is model.Fast_RCNN is model.Cascade_RCNN is model.Mask_RCNN is None
    prefixes = {key.split(".")[0] for key in model.state_dict()}
    assert prefixes == {"Conv_Body", "Conv_Body_FPN", "RetinaNet"}


def test_images_without_objects_leave_finite_gradients():
    model = build(retinanet_cfg()).train()
    outputs = model(noise_images(*SIZES), [box_targets([], [], size) for size in SIZES])
    assert outputs["losses"]["loss_box_reg"].item() == 0
    outputs["total_loss"].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def test_no_detections_at_all():
    node = retinanet_cfg()
    node.RETINANET.SCORE_THRESH = 1.0
    with torch.no_grad():
        found = build(node).eval()(noise_images(*SIZES))
    assert [len(one) for one in found] == [0, 0]
    assert found[0].boxes.shape == (0, 4)


def test_a_few_steps_teach_where_the_objects_are():
    node = retinanet_cfg()
    node.MODEL.BATCH_NORM, node.BACKBONE.FREEZE_AT, node.FPN.DIM = "bn", 0, 32
    node.RETINANET.NORM = "gn"
    model, images, targets = build(node).train(), noise_images(*SIZES), targets_of()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)
    history = []
    for _ in range(16):
        outputs = model(images, targets)
        optimizer.zero_grad()
        outputs["total_loss"].backward()
        optimizer.step()
        history.append({name: loss.item() for name, loss in outputs["losses"].items()})
    for name in ("loss_classifier", "loss_box_reg"):
        assert history[-1][name] < 0.8 * history[0][name], name


# Anchors -----------------------------------------------------------------------------------------


def anchors_of(**changes: object) -> list[Tensor]:
    node = retinanet_cfg()
    node.RETINANET.ANCHOR_SIZES = (32, 64, 128, 256, 512)
    for key, value in changes.items():
        node.RETINANET[key] = value
    maps = [torch.zeros(1, 8, 2, 3)] * 5
    return build_retinanet(32, SCALES, 4, node).anchors(maps)


def sides(anchors: Tensor) -> Tensor:
    return anchors[:9, 2:] - anchors[:9, :2]


def test_anchors_by_hand():
    levels = anchors_of()
    # Sizes outside, ratios inside: every third has the ratio 1/2, 1 and 2.
    widths, heights = sides(levels[0]).T
    torch.testing.assert_close(widths[1::3], torch.tensor([32.0, 40.317474, 50.796833]))
    torch.testing.assert_close(heights[1::3], widths[1::3])
    torch.testing.assert_close(widths[::3], widths[1::3] * math.sqrt(2))
    torch.testing.assert_close(heights[2::3], widths[1::3] * math.sqrt(2))
    # Around the pixels times the stride, row by row.
    centres = (levels[0][::9, :2] + levels[0][::9, 2:]) / 2
    assert centres.tolist() == [[0, 0], [8, 0], [16, 0], [0, 8], [8, 8], [16, 8]]
    assert levels[4][9, 2] - levels[4][0, 2] == 128
    torch.testing.assert_close(sides(levels[4])[4], torch.tensor([645.0796, 645.0796]))


def test_anchors_of_torchvision():
    levels = anchors_of(ANCHOR_SIZE_CUT=True, ANCHOR_ROUNDED=True)
    # 40.3 and 50.8 are cut; half of 32 * sqrt(2) = 45.25 is 22.6, which rounds to 23.
    assert sides(levels[0])[1::3].tolist() == [[32, 32], [40, 40], [50, 50]]
    assert levels[0][0].tolist() == [-23, -11, 23, 11]
    assert sides(levels[4])[4].tolist() == [644, 644]  # of 645: half is 322.5, to even


def test_anchors_for_other_levels_are_refused():
    with pytest.raises(ValueError, match=r"RETINANET.ANCHOR_SIZES .* each of the 3 levels of FPN"):
        build_retinanet(32, SCALES[:3], 4, retinanet_cfg())


# Losses ------------------------------------------------------------------------------------------

# On a box of 10 x 10 at the origin: the same (IoU 1), 5 / 10 of it (IoU 0.5), 0.45 and 0.39.
ANCHORS = torch.tensor(
    [[0.0, 0, 10, 10], [0.0, 0, 10, 5], [0.0, 0, 10, 4.5], [0.0, 0, 10, 3.9], [50, 50, 60, 60]]
)
ONE = [box_targets([[0, 0, 10, 10]], [2])]


def half(count: int) -> float:
    """Return the focal loss of ``count`` background outputs at a score of a half."""
    return count * 0.75 * 0.25 * math.log(2)


def test_loss_sums_by_hand():
    logits, deltas = torch.zeros(1, 5, 3), torch.zeros(1, 5, 4)
    classifier, box_reg, count = loss_sums(logits, deltas, ANCHORS, ONE, RetinaNetLossRule())
    assert count.tolist() == [2]
    # Two anchors of class 2, whose other two classes are background; one ignored; two background.
    wanted = 2 * 0.25 * 0.25 * math.log(2) + half(2 * 2 + 2 * 3)
    assert classifier.item() == pytest.approx(wanted)
    # The second anchor is half as high as its box: dy 0.5, dh log(2).
    assert box_reg.item() == pytest.approx(0.5 + math.log(2))


def test_the_class_counts_from_one():
    logits = torch.full((1, 5, 3), -20.0)
    logits[0, :2, 1] = 20  # output 1 is label 2
    classifier, _, _ = loss_sums(logits, torch.zeros(1, 5, 4), ANCHORS, ONE, RetinaNetLossRule())
    assert classifier.item() == pytest.approx(0, abs=1e-6)


def test_the_best_anchor_of_an_object_is_foreground_however_bad():
    target = [box_targets([[50, 50, 54, 54]], [1])]  # IoU 0.16 with the last anchor
    _, _, count = loss_sums(
        torch.zeros(1, 5, 3), torch.zeros(1, 5, 4), ANCHORS, target, RetinaNetLossRule()
    )
    assert count.tolist() == [1]


def test_giou_compares_boxes():
    rule = RetinaNetLossRule(box_loss="giou")
    deltas = torch.zeros(1, 5, 4, requires_grad=True)
    _, box_reg, _ = loss_sums(torch.zeros(1, 5, 3), deltas, ANCHORS, ONE, rule)
    # The same box, and its upper half: 1 - 0.5, and nothing besides in what encloses the two.
    assert box_reg.item() == pytest.approx(0.5)
    box_reg.sum().backward()
    assert deltas.grad[0, 2:].tolist() == [[0] * 4] * 3


def test_only_the_foreground_moves_boxes():
    deltas = torch.full((1, 5, 4), 3.0, requires_grad=True)
    for rule in (RetinaNetLossRule(), RetinaNetLossRule(smooth_l1_beta=0.1)):
        deltas.grad = None
        _, box_reg, _ = loss_sums(torch.zeros(1, 5, 3), deltas, ANCHORS, ONE, rule)
        box_reg.sum().backward()
        assert deltas.grad[0].tolist() == [[1] * 4] * 2 + [[0] * 4] * 3


class Fixed(nn.Module):
    """A head, or the anchors, with fixed outputs."""

    def __init__(self, outputs: object) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, features: object) -> object:
        return self.outputs


def part(logits: Tensor, deltas: Tensor, normalizer: str = "batch", **rules: object) -> RetinaNet:
    """Return a RetinaNet of one level, whose anchors are ``ANCHORS``."""
    return RetinaNet(
        Fixed(([logits], [deltas])),
        Fixed([ANCHORS]),
        RetinaNetLossRule(normalizer=normalizer),
        CandidateRule(
            pre_nms_top_n=rules.pop("top_n", 1000), clip_before_nms=rules.pop("clip", True)
        ),
        replace(DetectionRule(score_thresh=0.05, nms_thresh=0.5, max_per_image=100), **rules),
    )


# Two anchors, none, and three are foreground, with a box loss of 1.193, none and 1.886.
THREE = [*ONE, box_targets([], []), box_targets([[0, 0, 10, 10], [51, 50, 61, 60]], [2, 1])]
BOX = (0.5 + math.log(2), 0.0, 0.5 + math.log(2) + 0.1)


def test_losses_are_divided_by_the_foreground():
    logits, deltas = torch.zeros(3, 5, 3), torch.zeros(3, 5, 4)
    batch = part(logits, deltas, "batch").losses([], THREE)
    assert batch["loss_box_reg"].item() == pytest.approx(sum(BOX) / 5)
    image = part(logits, deltas, "image").losses([], THREE)
    assert image["loss_box_reg"].item() == pytest.approx((BOX[0] / 2 + BOX[2] / 3) / 3)
    # The image without objects counts, by one.
    own = [part(logits[:1], deltas[:1]).losses([], [t])["loss_classifier"].item() for t in THREE]
    assert image["loss_classifier"].item() == pytest.approx(sum(own) / 3)


def test_losses_are_divided_by_the_average_of_the_foreground():
    model = part(torch.zeros(3, 5, 3), torch.zeros(3, 5, 4), "average")
    assert model.state_dict()["loss_average"].item() == 100
    for average in (0.9 * 100 + 0.1 * 5, 0.9 * (0.9 * 100 + 0.1 * 5) + 0.1 * 5):
        losses = model.losses([], THREE)
        assert losses["loss_box_reg"].item() == pytest.approx(sum(BOX) / average)
    model.losses([], [box_targets([], [])] * 3)  # counts as one
    assert model.loss_average.item() == pytest.approx(0.9 * average + 0.1)
    assert "loss_average" not in part(torch.zeros(1), torch.zeros(1)).state_dict()


def test_the_average_moves_after_the_gradient_was_taken():
    logits = torch.zeros(3, 5, 3, requires_grad=True)
    model = part(logits, torch.zeros(3, 5, 4), "average")
    first, second = (model.losses([], THREE)["loss_classifier"] for _ in range(2))
    first.backward()
    wanted = logits.grad.clone()
    logits.grad = None
    second.backward()
    torch.testing.assert_close(logits.grad * model.loss_average / 90.5, wanted)


# Detections --------------------------------------------------------------------------------------


def test_the_best_pairs_of_a_level():
    logits = torch.tensor([[2.0, -9.0], [1.0, 3.0], [-9.0, 0.5]])
    boxes, scores, labels = best_of_level(logits, torch.zeros(3, 4), ANCHORS[:3], 0.6, 10)
    assert labels.tolist() == [2, 1, 1, 2]
    torch.testing.assert_close(scores, torch.tensor([3.0, 2.0, 1.0, 0.5]).sigmoid())
    assert boxes.tolist() == ANCHORS[[1, 0, 1, 2]].tolist()
    _, scores, labels = best_of_level(logits, torch.zeros(3, 4), ANCHORS[:3], 0.6, 3)
    assert labels.tolist() == [2, 1, 1]
    _, scores, _ = best_of_level(logits, torch.zeros(3, 4), ANCHORS[:3], 0.99, 3)
    assert scores.shape == (0,)


def test_outputs_may_begin_with_the_background():
    # The outputs of an anchor are labels 0, 1 and 2.
    logits = torch.tensor([[2.0, 0.0, 3.0]])
    _, _, labels = best_of_level(logits, torch.zeros(1, 4), ANCHORS[:1], 0.6, 10, first_label=0)
    assert labels.tolist() == [2, 0]
    # An object of label 2 on the anchor: its output alone should be 1.
    target = box_targets(ANCHORS[:1], [2])
    logits = torch.tensor([[[-50.0, -50.0, 50.0]]])
    sums = loss_sums(
        logits, torch.zeros(1, 1, 4), ANCHORS[:1], [target], RetinaNetLossRule(), first_label=0
    )
    assert sums[0].item() == pytest.approx(0, abs=1e-6)
    node = retinanet_cfg()
    plain = build(node).RetinaNet.head.cls_logits.out_channels
    node.RETINANET.BACKGROUND_OUTPUT = True
    assert build(node).RetinaNet.head.cls_logits.out_channels == plain // 3 * 4


def scored(*scores: float) -> Tensor:
    """Return logits (1, 5, 1) of one class that make these scores, and none of the rest."""
    padded = [*scores, *[1e-4] * (5 - len(scores))]
    return torch.tensor(padded).logit().reshape(1, 5, 1)


def test_detections_are_suppressed_clipped_and_counted():
    # An IoU of just 0.5 is let through, 0.9 is not.
    model = part(scored(0.9, 0.8, 0.7), torch.zeros(1, 5, 4))
    (found,) = model.detect([], [(20, 20)])
    assert found.boxes.tolist() == ANCHORS[:2].tolist()
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.8]))
    assert found.labels.tolist() == [1, 1] and found.size == (20, 20)
    (found,) = part(scored(0.9, 0.8), torch.zeros(1, 5, 4), max_per_image=1).detect([], [(20, 20)])
    assert len(found) == 1
    (found,) = part(scored(0.9), torch.zeros(1, 5, 4)).detect([], [(8, 6)])
    assert found.boxes.tolist() == [[0, 0, 6, 8]]


def test_boxes_may_be_clipped_behind_nms():
    # In 4 rows of pixels the first three boxes are the same, but they were not before.
    both = [part(scored(0.9, 0.8, 0.02, 0.7), torch.zeros(1, 5, 4), clip=c) for c in (True, False)]
    clipped, late = (model.detect([], [(4, 10)])[0] for model in both)
    assert clipped.boxes.tolist() == [[0, 0, 10, 4]]
    assert late.boxes.tolist() == [[0, 0, 10, 4]] * 2


def test_soft_nms_lowers_scores():
    rule = SoftNMSRule(method="linear", score_thresh=0.01)
    model = part(scored(0.9, 0.02, 0.02, 0.8), torch.zeros(1, 5, 4), soft_nms=rule, nms_thresh=0.3)
    (found,) = model.detect([], [(20, 20)])
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.8 * (1 - 0.39)]))
