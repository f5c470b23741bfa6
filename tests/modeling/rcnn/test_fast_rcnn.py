import math

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss

from pet.layers.roi_pooler import RoIPooler
from pet.modeling.postprocessing import DetectionRule, select_detections
from pet.modeling.rcnn.fast_rcnn import BoxPredictor, FastRCNN, build_fast_rcnn
from pet.modeling.rcnn.roi_sampling import RoISamplingRule, SampledRoIs
from pet.ops.boxes import encode_boxes
from tests.modeling.rcnn.small import NUM_CLASSES, box_targets, random_boxes

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
SIZE = (96, 128)
SAMPLING = RoISamplingRule(fg_iou=0.5, bg_iou=0.5, batch_size=16, positive_fraction=0.25)
RULE = DetectionRule(score_thresh=0.05, nms_thresh=0.5, max_per_image=10)


def small_branch(beta: float = 0.0) -> FastRCNN:
    torch.manual_seed(0)
    pooler = RoIPooler("ROIAlign", resolution=(2, 2), sampling_ratio=2, spatial_scales=(1 / 4,))
    branch = FastRCNN(
        pooler, nn.Flatten(), BoxPredictor(3 * 4, NUM_CLASSES), SAMPLING, RULE, WEIGHTS, beta
    )
    for parameter in branch.parameters():  # from their near-zero start to something to see
        nn.init.normal_(parameter, std=0.5)
    return branch


def feature(images: int = 2) -> Tensor:
    return torch.randn(images, 3, 24, 32, generator=torch.Generator().manual_seed(1))


def sampled(boxes: Tensor, labels: list[int], matched: list[int]) -> SampledRoIs:
    return SampledRoIs(boxes, torch.tensor(labels).long(), torch.tensor(matched).long())


def two_images() -> tuple[list[SampledRoIs], list]:
    targets = [
        box_targets([[10, 10, 60, 50], [30, 40, 90, 90]], [2, 3], SIZE),
        box_targets([[5, 5, 100, 80]], [1], SIZE),
    ]
    rois = [
        sampled(random_boxes(6, SIZE, 1), [3, 2, 3, 0, 0, 0], [1, 0, 1]),
        sampled(random_boxes(4, SIZE, 2), [1, 0, 0, 0], [0]),
    ]
    return rois, targets


def test_losses_equal_torchvisions():
    branch = small_branch(beta=1 / 9)
    rois, targets = two_images()
    logits, deltas = branch([feature()], [r.boxes for r in rois])
    # torchvision wants a target for the background too, which it does not look at.
    gt_boxes = [
        torch.cat([t.boxes[r.matched], torch.ones(len(r.labels) - r.num_foreground, 4)])
        for t, r in zip(targets, rois, strict=True)
    ]
    wanted = [
        encode_boxes(boxes, r.boxes, WEIGHTS) for boxes, r in zip(gt_boxes, rois, strict=True)
    ]
    classifier, box_reg = fastrcnn_loss(logits, deltas.flatten(1), [r.labels for r in rois], wanted)
    losses, metrics = branch.losses([feature()], rois, targets)
    torch.testing.assert_close(losses["loss_classifier"], classifier)
    torch.testing.assert_close(losses["loss_box_reg"], box_reg)
    labels = torch.cat([r.labels for r in rois])
    accuracy = (logits.argmax(1) == labels).float().mean()
    torch.testing.assert_close(metrics["accuracy_classifier"], accuracy)
    assert set(losses) == {"loss_classifier", "loss_box_reg"}


def test_the_box_loss_looks_at_the_deltas_of_the_right_class_alone():
    branch = small_branch()
    rois, targets = two_images()
    branch.losses([feature()], rois, targets)[0]["loss_box_reg"].backward()
    grad = branch.predictor.bbox_pred.bias.grad.reshape(NUM_CLASSES, 4)
    assert (grad[0] == 0).all()
    # One RoI each of class 1 and 2 among 10: each L1 pulls by a tenth.
    torch.testing.assert_close(grad[1:3].abs(), torch.full((2, 4), 0.1))


@pytest.mark.parametrize("count", [0, 5])
def test_without_foreground_the_box_loss_is_zero_and_leaves_gradients(count):
    branch = small_branch()
    rois = [sampled(random_boxes(count, SIZE), [0] * count, [])]
    losses, metrics = branch.losses([feature(1)], rois, [box_targets([], [])])
    assert losses["loss_box_reg"].item() == 0
    assert (losses["loss_classifier"].item() > 0) == (count > 0)
    assert torch.isfinite(metrics["accuracy_classifier"])
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in branch.parameters())


def test_an_untrained_branch_takes_all_classes_for_alike(fresh_cfg):
    torch.manual_seed(0)
    branch = build_fast_rcnn(8, (1 / 4, 1 / 8), 81, fresh_cfg)
    features = [torch.randn(1, 8, 24, 32), torch.randn(1, 8, 12, 16)]
    rois = [sampled(random_boxes(8, SIZE), [1] + [0] * 7, [0])]
    target = box_targets([[10, 10, 60, 50]], [1], SIZE)
    losses, _ = branch.losses(features, rois, [target])
    assert losses["loss_classifier"].item() == pytest.approx(math.log(81), rel=0.05)


@pytest.mark.parametrize(
    "rule",
    [
        DetectionRule(score_thresh=0.05, nms_thresh=0.5, max_per_image=10, min_size=0.01),
        DetectionRule(score_thresh=0.0, nms_thresh=0.3, max_per_image=1000, min_size=0.01),
        DetectionRule(score_thresh=0.6, nms_thresh=0.7, max_per_image=100, min_size=0.01),
    ],
)
def test_detections_equal_torchvisions(rule):
    generator = torch.Generator().manual_seed(3)
    proposals = [random_boxes(80, SIZE, 1), random_boxes(50, SIZE, 2)]
    sizes = [SIZE, (60, 128)]
    logits = torch.randn(130, NUM_CLASSES, generator=generator) * 2
    deltas = torch.randn(130, NUM_CLASSES, 4, generator=generator)
    theirs = RoIHeads(
        *(None, None, None),
        *(0.5, 0.5, 512, 0.25, WEIGHTS),
        *(rule.score_thresh, rule.nms_thresh, rule.max_per_image),
    )
    wanted = theirs.postprocess_detections(logits, deltas.flatten(1), proposals, sizes)

    branch = small_branch()
    branch.detection_rule = rule
    branch.predictor.forward = lambda _: (logits, deltas)
    found = branch.detect([feature()], proposals, sizes)
    for detections, boxes, scores, labels in zip(found, *wanted, strict=True):
        torch.testing.assert_close(detections.boxes, boxes)
        torch.testing.assert_close(detections.scores, scores)
        assert torch.equal(detections.labels, labels)
    assert [detections.size for detections in found] == sizes
    assert len(found[0]) > 5


def test_no_proposals_no_detections():
    found = small_branch().detect([feature()], [torch.zeros(0, 4)] * 2, [SIZE, SIZE])
    assert [len(detections) for detections in found] == [0, 0]
    assert found[0].boxes.shape == (0, 4)
    assert found[0].labels.dtype == torch.int64


# One box for all classes -------------------------------------------------------------------------


def class_agnostic_branch() -> FastRCNN:
    branch = small_branch()
    branch.predictor = BoxPredictor(3 * 4, NUM_CLASSES, class_agnostic=True)
    nn.init.normal_(branch.predictor.bbox_pred.weight, std=0.5)
    return branch


def test_a_box_may_be_moved_alike_for_all_classes():
    branch, (rois, targets) = class_agnostic_branch(), two_images()
    logits, deltas = branch([feature()], [r.boxes for r in rois])
    assert logits.shape == (10, NUM_CLASSES) and deltas.shape == (10, 1, 4)
    alike = branch.losses_of(logits, deltas, rois, targets)[0]
    wanted = branch.losses_of(logits, deltas.expand(-1, NUM_CLASSES, -1), rois, targets)[0]
    assert {k: v.item() for k, v in alike.items()} == {k: v.item() for k, v in wanted.items()}
    proposals = [random_boxes(12, SIZE)]
    [found] = branch.detect([feature(1)], proposals, [SIZE])
    logits, deltas = branch([feature(1)], proposals)
    [boxes] = branch.decode(deltas, proposals)
    expanded = boxes.expand(-1, NUM_CLASSES, -1)
    wanted = select_detections(expanded, logits.softmax(1), SIZE, branch.detection_rule)
    assert torch.equal(found.boxes, wanted.boxes) and torch.equal(found.scores, wanted.scores)


def test_the_config_chooses_one_box_for_all_classes(fresh_cfg):
    for is_agnostic, rows in ((True, 4), (False, 12)):
        fresh_cfg.MODEL.CLS_AGNOSTIC_BBOX_REG = is_agnostic
        branch = build_fast_rcnn(8, (1 / 4,), 3, fresh_cfg)
        assert branch.predictor.bbox_pred.weight.shape == (rows, 1024)


def test_without_foreground_a_box_for_all_classes_costs_nothing():
    branch = class_agnostic_branch()
    rois = [sampled(random_boxes(3, SIZE), [0, 0, 0], [])]
    losses, _ = branch.losses([feature(1)], rois, [box_targets([], [])])
    assert losses["loss_box_reg"].item() == 0
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in branch.parameters())
