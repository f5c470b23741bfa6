import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pet.layers.roi_pooler import RoIPooler
from pet.modeling.build import build_model
from pet.modeling.rcnn.keypoint_rcnn import (
    KeypointPredictor,
    KeypointRCNN,
    build_keypoint_rcnn,
    keypoint_targets,
)
from pet.modeling.rcnn.roi_sampling import SampledRoIs
from pet.structures import Detections, Targets
from tests.modeling.rcnn.small import (
    NUM_CLASSES,
    box_targets,
    noise_images,
    random_boxes,
    small_cfg,
)

SIZE = (96, 128)
POINTS = 3


@pytest.fixture
def cfg(fresh_cfg):
    fresh_cfg.KRCNN.NUM_KEYPOINTS = POINTS
    fresh_cfg.KRCNN.NUM_CONVS, fresh_cfg.KRCNN.CONV_DIM = 2, 8
    return fresh_cfg


def features(images: int = 1) -> list[Tensor]:
    return [torch.randn(images, 8, 24, 32, generator=torch.Generator().manual_seed(1))]


def foreground(boxes: list[list[float]], matched: list[int]) -> SampledRoIs:
    return SampledRoIs(
        torch.tensor(boxes).reshape(-1, 4),
        torch.ones(len(boxes), dtype=torch.int64),
        torch.tensor(matched, dtype=torch.int64),
    )


def with_points(target: Targets, points: list) -> Targets:
    keypoints = torch.tensor(points, dtype=torch.float32).reshape(len(target), POINTS, 3)
    return replace(target, keypoints=keypoints)


class Learned(nn.Module):
    """Predicts one and the same heatmap of 2 x 2 cells for each point."""

    def __init__(self, logits: list) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen = len(x)
        return self.logits.expand(len(x), -1, -1, -1)


def branch_of(predictor: nn.Module, **options) -> KeypointRCNN:
    pooler = RoIPooler("ROIAlign", resolution=(1, 1), sampling_ratio=1, spatial_scales=(1 / 4,))
    return KeypointRCNN(pooler, nn.Identity(), predictor, (2, 2), **options)


def test_each_roi_sees_the_points_of_its_object():
    target = with_points(
        box_targets([[0, 0, 20, 20], [40, 40, 60, 60]], [1, 1], SIZE),
        [[[5, 5, 2], [15, 5, 1], [5, 5, 0]], [[45, 55, 2], [59, 59, 2], [65, 50, 2]]],
    )
    rois = foreground([[40.0, 40.0, 60.0, 60.0], [0.0, 0.0, 20.0, 10.0]], [1, 0])
    assert keypoint_targets(rois, target, (2, 2)).tolist() == [[2, 3, -1], [2, 3, -1]]
    none = keypoint_targets(foreground([], []), target, (2, 2))
    assert none.shape == (0, POINTS)


def test_training_without_keypoints_says_so():
    target = box_targets([[0, 0, 20, 20]], [1], SIZE)
    with pytest.raises(AssertionError, match="read without keypoints"):
        keypoint_targets(foreground([[0.0, 0.0, 20.0, 20.0]], [0]), target, (2, 2))


HEATMAPS = [
    [[0.0, 0.0], [0.0, 0.0]],  # log(4) wherever the point is
    [[1.0, 0.0], [0.0, 0.0]],  # log(3 + e) - 1 in the first cell
    [[0.0, 0.0], [0.0, 2.0]],
]


def loss_inputs() -> tuple[list[SampledRoIs], list[Targets]]:
    first = with_points(
        box_targets([[0, 0, 20, 20], [40, 40, 60, 60]], [1, 1], SIZE),
        [[[5, 5, 2], [5, 5, 1], [5, 5, 0]], [[0, 0, 0], [99, 9, 2], [0, 0, 0]]],
    )
    second = with_points(box_targets([], [], SIZE), [])
    rois = foreground([[0.0, 0.0, 20.0, 20.0], [40.0, 40.0, 60.0, 60.0]], [0, 1])
    return [rois, foreground([], [])], [first, second]


def test_the_loss_is_the_mean_over_the_points_that_are_seen():
    branch = branch_of(Learned(HEATMAPS))
    loss = branch.losses(features(2), *loss_inputs())["loss_keypoint"]
    total = math.log(4) + math.log(3 + math.e) - 1
    assert loss.item() == pytest.approx(total / 2)
    loss.backward()
    # A point that nobody sees teaches nothing.
    assert branch.predictor.logits.grad[:2].abs().sum((1, 2)).min() > 0
    assert (branch.predictor.logits.grad[2] == 0).all()


def test_the_loss_may_be_divided_by_a_fixed_number():
    branch = branch_of(Learned(HEATMAPS), points_per_image=10.0)
    loss = branch.losses(features(2), *loss_inputs())["loss_keypoint"]
    total = math.log(4) + math.log(3 + math.e) - 1
    assert loss.item() == pytest.approx(total / (10 * 2))


def test_rois_without_a_point_are_not_convolved():
    branch = branch_of(Learned(HEATMAPS))
    branch.losses(features(2), *loss_inputs())
    assert branch.predictor.seen == 1


@pytest.mark.parametrize("normalizer", ["visible", "batch_size"])
def test_without_points_the_loss_is_zero_and_leaves_gradients(cfg, normalizer):
    cfg.KRCNN.LOSS_NORMALIZER = normalizer
    branch = build_keypoint_rcnn(8, (1 / 4,), cfg).to(memory_format=torch.channels_last)
    not_labelled = with_points(box_targets([[0, 0, 20, 20]], [1], SIZE), [[[0, 0, 0]] * POINTS])
    for rois, target in (
        (foreground([], []), with_points(box_targets([], [], SIZE), [])),
        (foreground([[0.0, 0.0, 20.0, 20.0]], [0]), not_labelled),
    ):
        branch.zero_grad()
        loss = branch.losses(features(), [rois], [target])["loss_keypoint"]
        assert loss.item() == 0
        loss.backward()
        assert all(p.grad is not None and (p.grad == 0).all() for p in branch.parameters())


def detections(boxes: Tensor) -> Detections:
    labels = torch.ones(len(boxes), dtype=torch.int64)
    return Detections(boxes, torch.ones(len(boxes)), labels, SIZE)


def test_each_detection_gets_its_points():
    branch = branch_of(Learned(HEATMAPS), score_method="one")
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [10.0, 20.0, 12.0, 22.0]])
    first, second = branch.add(features(2), [detections(boxes), detections(boxes[:0])])
    assert first.keypoints[:, 1].tolist() == [[0.5, 0.5, 1], [10.5, 20.5, 1]]
    assert first.keypoints[:, 2].tolist() == [[1.5, 1.5, 1], [11.5, 21.5, 1]]
    assert second.keypoints.shape == (0, POINTS, 3)
    sure = branch_of(Learned(HEATMAPS)).add(features(), [detections(boxes)])[0]
    e2 = math.exp(2)
    assert sure.keypoints[0, 2, 2].item() == pytest.approx(e2 / (e2 + 3))


def test_the_predictor_enlarges_the_grid_fourfold():
    predictor = KeypointPredictor(6, POINTS)
    assert predictor(torch.randn(2, 6, 14, 10)).shape == (2, POINTS, 56, 40)
    assert predictor(torch.randn(0, 6, 14, 14)).shape == (0, POINTS, 56, 56)


def test_the_config_sets_the_branch(cfg):
    cfg.KRCNN.ROI_XFORM_METHOD, cfg.KRCNN.ROI_XFORM_RESOLUTION = "ROIPool", (7, 9)
    cfg.KRCNN.LOSS_NORMALIZER, cfg.KRCNN.SCORE_METHOD = "batch_size", "one"
    branch = build_keypoint_rcnn(8, (1 / 4,), cfg)
    assert branch.pooler.method == "ROIPool"
    assert branch(features(), [random_boxes(2, SIZE)]).shape == (2, POINTS, 28, 36)
    assert (branch.resolution, branch.score_method) == ((28, 36), "one")
    assert branch.points_per_image == 512 * 0.25 * POINTS
    assert len(branch.head.convs) == 2


def test_a_model_needs_the_number_of_points(cfg):
    cfg.KRCNN.NUM_KEYPOINTS = -1
    with pytest.raises(ValueError, match=r"KRCNN\.NUM_KEYPOINTS is -1.*resolve_num_keypoints"):
        build_keypoint_rcnn(8, (1 / 4,), cfg)


@pytest.mark.parametrize("mask_on", [False, True])
def test_keypoints_alone_and_with_masks(mask_on):
    cfg = small_cfg()
    cfg.MODEL.KEYPOINT_ON, cfg.MODEL.MASK_ON = True, mask_on
    cfg.KRCNN.NUM_KEYPOINTS, cfg.KRCNN.NUM_CONVS, cfg.KRCNN.CONV_DIM = POINTS, 1, 8
    cfg.FAST_RCNN.SCORE_THRESH = 0.0
    torch.manual_seed(0)
    model = build_model(cfg=cfg).train()
    images = noise_images(SIZE, (64, 96))
    target = with_points(
        box_targets([[8, 8, 64, 64], [40, 8, 96, 64]], [1, NUM_CLASSES - 1], SIZE),
        [[[20, 20, 2], [30, 40, 1], [0, 0, 0]], [[50, 20, 2], [200, 9, 2], [90, 60, 2]]],
    )
    nothing = with_points(box_targets([], [], (64, 96)), [])
    outputs = model(images, [target, nothing])
    assert ("loss_mask" in outputs["losses"]) is mask_on
    assert outputs["losses"]["loss_keypoint"].item() == pytest.approx(math.log(56**2), rel=0.01)
    outputs["total_loss"].backward()
    branch = model.Keypoint_RCNN
    # The bias of a heatmap adds to all of its cells alike.
    gradients = {name: p.grad.abs().sum() for name, p in branch.named_parameters()}
    assert gradients.pop("predictor.deconv.bias") < 1e-4
    assert all(gradient > 0 for gradient in gradients.values())
    found = model.eval()(images)
    assert found[0].keypoints.shape == (10, POINTS, 3)
    assert (found[0].mask_probs is not None) is mask_on
    x1, y1, x2, y2 = found[0].boxes[:, None].unbind(-1)
    x, y, score = found[0].keypoints.unbind(-1)
    assert ((x > x1) & (x < x1 + (x2 - x1).clamp(min=1))).all()
    assert ((y > y1) & (y < y1 + (y2 - y1).clamp(min=1))).all()
    assert ((score > 0) & (score <= 1)).all()
