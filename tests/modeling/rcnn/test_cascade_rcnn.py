import math

import pytest
import torch
from torch import Tensor, nn

from pet.config import default_cfg, freeze
from pet.modeling.rcnn.cascade_rcnn import CascadeRCNN, build_cascade_rcnn
from pet.modeling.rcnn.generalized_rcnn import Generalized_RCNN
from pet.modeling.rcnn.roi_sampling import SampledRoIs, match_rois
from tests.modeling.rcnn.small import box_targets, noise_images, random_boxes, small_cfg

SIZE = (96, 128)
SCALES = (1 / 4, 1 / 8)


def small_branch(num_classes: int = 3, **cascade) -> CascadeRCNN:
    cfg = default_cfg()
    cfg.FAST_RCNN.MLP_HEAD_DIM = 8
    cfg.FAST_RCNN.ROI_XFORM_RESOLUTION = (2, 2)
    for key, value in cascade.items():
        cfg.CASCADE_RCNN[key] = value
    torch.manual_seed(0)
    return build_cascade_rcnn(3, SCALES, num_classes, cfg)


def features(requires_grad: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(1, 3, side, side + 8, generator=generator).requires_grad_(requires_grad)
        for side in (24, 12)
    ]


class Fixed(nn.Module):
    """Stands in for a head and its predictor, and returns what it is told to."""

    def __init__(self, logits: list[float], deltas: list[float]) -> None:
        super().__init__()
        self.logits, self.deltas = torch.tensor(logits), torch.tensor(deltas)
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append(len(x))
        return self.logits.expand(len(x), -1), self.deltas.expand(len(x), 1, 4)


def with_predictions(*predictions: tuple[list[float], list[float]]) -> CascadeRCNN:
    branch = small_branch()
    for stage, (logits, deltas) in zip(branch.stages, predictions, strict=True):
        stage.head, stage.predictor = nn.Identity(), Fixed(logits, deltas)
    return branch


# Inference ---------------------------------------------------------------------------------------


def test_boxes_are_moved_from_stage_to_stage_and_scores_are_averaged():
    # 20 wide: by 10 / 10 of it to the right, by 10 / 20 of it, and by 3 / 30.
    log = math.log
    branch = with_predictions(
        ([log(2), log(1), log(1)], [10.0, 0.0, 0.0, 0.0]),
        ([log(1), log(2), log(1)], [10.0, 0.0, 0.0, 0.0]),
        ([log(1), log(1), log(2)], [3.0, 0.0, 0.0, 15 * log(2)]),  # and twice as high
    )
    [found] = branch.detect(features(), [torch.tensor([[10.0, 20.0, 30.0, 40.0]])], [SIZE])
    # All three have (2 + 1 + 1) / 12 of the score.
    torch.testing.assert_close(found.scores, torch.full((2,), 1 / 3))
    assert sorted(found.labels.tolist()) == [1, 2]
    torch.testing.assert_close(found.boxes, torch.tensor([[42.0, 10.0, 62.0, 50.0]]).expand(2, 4))


def test_boxes_are_clipped_between_stages_and_empty_ones_stay():
    # Moved out of the image by the first stage, they are empty, and yet seen by the others.
    branch = with_predictions(
        ([0.0, 0.0, 9.0], [100.0, 0.0, 0.0, 0.0]),
        ([0.0, 0.0, 9.0], [0.0, 0.0, 0.0, 0.0]),
        ([0.0, 0.0, 9.0], [0.0, 0.0, 0.0, 0.0]),
    )
    proposals = torch.tensor([[10.0, 20.0, 30.0, 40.0], [100.0, 20.0, 120.0, 40.0]])
    [found] = branch.detect(features(), [proposals], [SIZE])
    assert [stage.predictor.seen for stage in branch.stages] == [[2], [2], [2]]
    assert (found.boxes[:, 0] == 128).all()
    # Hanging over the border, a box goes on from what is inside: 118 to 128, its half to 123.
    branch = with_predictions(
        ([0.0, 0.0, 9.0], [9.0, 0.0, 0.0, 0.0]),
        ([0.0, 0.0, 9.0], [-10.0, 0.0, 0.0, 0.0]),
        ([0.0, 0.0, 9.0], [0.0, 0.0, 0.0, 0.0]),
    )
    [found] = branch.detect(features(), [proposals[1:]], [SIZE])
    assert found.boxes[0].tolist() == [113.0, 20.0, 123.0, 40.0]


def test_no_proposals_no_detections():
    found = small_branch().detect(features(), [torch.zeros(0, 4)], [SIZE])
    assert [len(one) for one in found] == [0]


# Training ----------------------------------------------------------------------------------------


def test_stages_are_matched_by_their_own_iou():
    gt = box_targets([[0, 0, 10, 10], [50, 0, 60, 10]], [2, 1], SIZE)
    # IoU 0.6, 0.8 (of the second), 0, none (empty), and 1.
    boxes = torch.tensor(
        [[0, 0, 10, 6], [50, 0, 60, 8], [20, 20, 30, 30], [5, 5, 5, 9], [0, 0, 10, 10]]
    ).float()
    [rois] = match_rois([boxes], [gt], 0.6)
    assert rois.boxes.tolist() == boxes[[0, 1, 4, 2]].tolist()  # foreground first
    assert rois.labels.tolist() == [2, 1, 2, 0]
    assert rois.matched.tolist() == [0, 1, 0]
    [rois] = match_rois([boxes], [gt], 0.7)
    assert rois.boxes.tolist() == boxes[[1, 4, 0, 2]].tolist()
    assert rois.labels.tolist() == [1, 2, 0, 0]


def test_without_ground_truth_all_is_background():
    [rois] = match_rois([random_boxes(3, SIZE)], [box_targets([], [], SIZE)], 0.6)
    assert rois.labels.tolist() == [0, 0, 0] and rois.num_foreground == 0
    [rois] = match_rois([torch.zeros(0, 4)], [box_targets([[0, 0, 9, 9]], [1], SIZE)], 0.6)
    assert len(rois.boxes) == 0


def test_each_stage_is_trained_on_what_the_last_one_moved():
    gt = box_targets([[10, 10, 30, 30]], [1], SIZE)
    # The first stage moves the RoI by 4 / 10 of its width, from an IoU of 2 / 3 to one of 7 / 13.
    branch = with_predictions(
        ([0.0, 0.0, 0.0], [4.0, 0.0, 0.0, 0.0]),
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]),
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]),
    )
    rois = SampledRoIs(
        torch.tensor([[6.0, 10.0, 26.0, 30.0]]), torch.tensor([1]), torch.tensor([0])
    )
    losses, metrics = branch.losses(features(), [rois], [gt])
    assert list(losses) == [
        f"loss_{kind}_stage{n}" for n in (1, 2, 3) for kind in ("classifier", "box_reg")
    ]
    assert list(metrics) == [f"accuracy_classifier_stage{n}" for n in (1, 2, 3)]
    # The first wants 4 / 20 of the width, times 10, and predicts 4; the others see 14 .. 34, an
    # IoU of 16 / 24: foreground from 0.6 on, of -4 / 20 * 20, and background from 0.7 on.
    values = {name: value.item() for name, value in losses.items()}
    assert values["loss_box_reg_stage1"] == pytest.approx(2.0, abs=1e-5)
    assert values["loss_box_reg_stage2"] == pytest.approx(4.0, abs=1e-5)
    assert values["loss_box_reg_stage3"] == 0
    # All classes are alike to it, and the first of them is the background.
    for number in (1, 2, 3):
        assert values[f"loss_classifier_stage{number}"] == pytest.approx(math.log(3))
    accuracy = [metrics[f"accuracy_classifier_stage{n}"].item() for n in (1, 2, 3)]
    assert accuracy == [0, 0, 1]


def test_boxes_are_given_to_the_next_stage_without_a_gradient():
    branch, gt = small_branch(), box_targets([[10, 10, 60, 50]], [1], SIZE)
    rois = SampledRoIs(gt.boxes, gt.labels, torch.tensor([0]))
    losses, _ = branch.losses(features(), [rois], [gt])
    (losses["loss_classifier_stage2"] + losses["loss_box_reg_stage2"]).backward()
    assert all(parameter.grad is None for parameter in branch.stages[0].parameters())
    assert all(parameter.grad is not None for parameter in branch.stages[1].parameters())


def sampled(count: int) -> SampledRoIs:
    return SampledRoIs(
        random_boxes(count, SIZE),
        torch.tensor([1] * min(count, 1) + [0] * (count - 1)).long(),
        torch.zeros(min(count, 1)).long(),
    )


def test_stages_have_their_factors():
    gt = box_targets([[10, 10, 60, 50]], [1], SIZE)
    plain = small_branch().losses(features(), [sampled(4)], [gt])[0]
    branch = small_branch(STAGE_WEIGHTS=(1.0, 0.5, 0.25))
    weighted = branch.losses(features(), [sampled(4)], [gt])[0]
    for number, factor in enumerate((1.0, 0.5, 0.25), 1):
        for name in (f"loss_classifier_stage{number}", f"loss_box_reg_stage{number}"):
            torch.testing.assert_close(weighted[name], plain[name] * factor)


def test_the_features_get_a_third_of_each_stages_gradient():
    gt = box_targets([[10, 10, 60, 50]], [1], SIZE)

    def gradients(num_stages: int) -> tuple[Tensor, Tensor]:
        branch = small_branch()
        nn.init.normal_(branch.stages[0].predictor.cls_score.weight)
        branch.stages[0].pooler.num_stages = num_stages
        maps = features(requires_grad=True)
        branch.losses(maps, [sampled(4)], [gt])[0]["loss_classifier_stage1"].backward()
        head = branch.stages[0].head.fc1.weight.grad
        assert maps[0].grad is not None and head is not None
        return maps[0].grad, head

    branch = small_branch()
    assert branch.stages[0].pooler.num_stages == 3
    (whole, own), (third, own_of_third) = gradients(1), gradients(3)
    assert whole.abs().sum() > 0
    torch.testing.assert_close(third, whole / 3)
    # The heads' own gradients are as they were.
    torch.testing.assert_close(own_of_third, own)


@pytest.mark.parametrize("count", [0, 3])
def test_an_image_without_objects_leaves_gradients_everywhere(count):
    branch = small_branch()
    rois = SampledRoIs(random_boxes(count, SIZE), torch.zeros(count).long(), torch.zeros(0).long())
    losses, _ = branch.losses(features(), [rois], [box_targets([], [], SIZE)])
    assert all(torch.isfinite(value) for value in losses.values())
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in branch.parameters())


# The model ---------------------------------------------------------------------------------------


def test_as_many_stages_as_thresholds():
    branch = small_branch(
        FG_IOU_THRESHOLD=(0.4, 0.5),
        BBOX_REG_WEIGHTS=((1.0, 1.0, 1.0, 1.0), (2.0, 2.0, 2.0, 2.0)),
        STAGE_WEIGHTS=(1.0, 1.0),
    )
    assert len(branch.stages) == 2 and branch.stages[0].pooler.num_stages == 2
    rule = branch.sampling_rule
    assert (rule.fg_iou, rule.bg_iou, rule.batch_size, rule.positive_fraction) == (
        *(0.4, 0.4, 512, 0.25),
    )


def test_a_cascade_trains_and_detects():
    cfg = small_cfg()
    cfg.MODEL.CASCADE_ON = True
    freeze(cfg)
    torch.manual_seed(0)
    model = Generalized_RCNN(cfg).train()
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert {key.split(".")[0] for key in shapes} == {
        *("Conv_Body", "Conv_Body_FPN", "RPN", "Cascade_RCNN", "Mask_RCNN")
    }
    for stage in range(3):
        assert shapes[f"Cascade_RCNN.stages.{stage}.predictor.bbox_pred.weight"] == (4, 32)
        assert shapes[f"Cascade_RCNN.stages.{stage}.predictor.cls_score.weight"] == (4, 32)
    images = noise_images(SIZE, (80, 110))
    targets = [box_targets([[10, 10, 60, 50]], [2], SIZE), box_targets([], [], (80, 110))]
    outputs = model(images, targets)
    assert len(outputs["losses"]) == 2 + 6 + 1
    assert torch.isfinite(outputs["total_loss"])
    outputs["total_loss"].backward()
    frozen = ("Conv_Body.conv1", "Conv_Body.layer1")
    assert all(
        parameter.grad is not None
        for name, parameter in model.named_parameters()
        if not name.startswith(frozen)
    )
    with torch.no_grad():
        found = model.eval()(images)
    assert [one.size for one in found] == [SIZE, (80, 110)]
    assert all(len(one) == 10 and one.mask_probs is not None for one in found)
