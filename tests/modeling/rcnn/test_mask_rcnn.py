import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pet.layers.roi_pooler import RoIPooler
from pet.modeling.rcnn.mask_rcnn import MaskPredictor, MaskRCNN, build_mask_rcnn, mask_targets
from pet.modeling.rcnn.roi_sampling import SampledRoIs
from pet.structures import Crop, Detections, MaskCrops, Targets
from tests.modeling.rcnn.small import NUM_CLASSES, box_targets, random_boxes

SIZE = (96, 128)


def foreground(boxes: list[list[float]], matched: list[int]) -> SampledRoIs:
    return SampledRoIs(
        torch.tensor(boxes).reshape(-1, 4),
        torch.ones(len(boxes), dtype=torch.int64),
        torch.tensor(matched, dtype=torch.int64),
    )


def detections(boxes: Tensor, labels: list[int]) -> Detections:
    return Detections(boxes, torch.ones(len(boxes)), torch.tensor(labels, dtype=torch.int64), SIZE)


def features(images: int = 2) -> list[Tensor]:
    return [torch.randn(images, 8, 24, 32, generator=torch.Generator().manual_seed(1))]


class ClassImage(nn.Module):
    """Predicts for class k a mask whose logits are all k."""

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return labels.to(x.dtype)[:, None, None].expand(-1, 28, 28)


def branch_of(predictor: nn.Module) -> MaskRCNN:
    pooler = RoIPooler("ROIAlign", resolution=(14, 14), sampling_ratio=2, spatial_scales=(1 / 4,))
    return MaskRCNN(pooler, nn.Identity(), predictor, (28, 28))


def test_a_mask_that_fills_the_roi_is_all_ones():
    target = box_targets([[10, 20, 66, 76], [0, 0, 28, 28], [64, 8, 120, 36]], [1, 2, 3], SIZE)
    rois = foreground(target.boxes.tolist(), [0, 1, 2])
    assert mask_targets([rois], [target], (28, 28)).tolist() == torch.ones(3, 28, 28).tolist()


def test_half_a_mask_by_hand():
    # The left half of [8, 8, 64, 64] is object; the second RoI begins 14 pixels earlier, the third
    # sees the mask of another object.
    crop = Crop(np.ones((56, 28), np.uint8), 8, 8)
    other = Crop(np.ones((4, 4), np.uint8), 100, 80)
    boxes = torch.tensor([[8.0, 8.0, 64.0, 64.0], [100.0, 80.0, 104.0, 84.0]])
    target = Targets(boxes, torch.tensor([1, 1]), SIZE, 1, MaskCrops.pack([crop, other]))
    rois = foreground(
        [[8.0, 8.0, 64.0, 64.0], [-6.0, 8.0, 50.0, 64.0], [8.0, 8.0, 64.0, 64.0]], [0, 0, 1]
    )
    half, shifted, none = mask_targets([rois], [target], (28, 28))
    assert (half[:, :14] == 1).all() and (half[:, 14:] == 0).all()
    assert (shifted[:, 7:21] == 1).all() and shifted.sum() == 28 * 14
    assert (none == 0).all()


@pytest.mark.parametrize(("shift", "first_cell"), [(0.25, 1), (0.5, 1), (0.75, 0)])
def test_a_cell_half_covered_is_object(shift, first_cell):
    target = box_targets([[8, 8, 64, 64]], [1], SIZE)
    left = 8.0 - shift  # cells of one pixel, of which the first is covered by 1 - shift
    [mask] = mask_targets([foreground([[left, 20.0, left + 28, 48.0]], [0])], [target], (28, 28))
    assert (mask[:, 0] == first_cell).all()
    assert (mask[:, 1:] == 1).all()


def test_targets_are_zeros_and_ones():
    target = box_targets([[3, 5, 47, 38]], [1], SIZE)
    masks = mask_targets([foreground([[1.3, 2.7, 51.9, 30.1]], [0])], [target], (28, 28))
    assert masks.dtype == torch.float32
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert mask_targets([foreground([], [])], [target], (28, 28)).shape == (0, 28, 28)
    none = mask_targets([foreground([], [])], [box_targets([], [], SIZE)], (28, 28))
    assert none.shape == (0, 28, 28)


@pytest.mark.parametrize("method", ["cell_centre", "roi_align"])
def test_the_targets_of_a_batch_are_those_of_its_images(method):
    targets = [
        box_targets([[3, 5, 47, 38], [60, 20, 127, 90]], [1, 2], (96, 128)),
        box_targets([], [], (64, 64)),
        box_targets([[10, 8, 79, 49]], [3], (50, 80)),
    ]
    rois = [
        foreground([[58.5, 11.0, 128.0, 96.0], [1.3, 2.7, 51.9, 30.1]], [1, 0]),
        foreground([], []),
        foreground([[0.0, 0.0, 80.0, 50.0]], [0]),
    ]
    alone = [mask_targets([r], [t], (28, 28), method) for r, t in zip(rois, targets, strict=True)]
    assert [len(masks) for masks in alone] == [2, 0, 1] and all(m.any() for m in alone[::2])
    assert torch.equal(mask_targets(rois, targets, (28, 28), method), torch.cat(alone))


def test_training_without_masks_says_so():
    target = Targets(torch.tensor([[0.0, 0.0, 9.0, 9.0]]), torch.tensor([1]), SIZE, 1)
    with pytest.raises(AssertionError, match="read without masks"):
        mask_targets([foreground([[0.0, 0.0, 9.0, 9.0]], [0])], [target], (28, 28))


def test_each_roi_gets_the_mask_of_its_class():
    branch = branch_of(ClassImage())
    boxes = [random_boxes(3, SIZE, 1), random_boxes(1, SIZE, 2)]
    logits = branch(features(), boxes, [torch.tensor([3, 1, 2]), torch.tensor([1])])
    assert logits.shape == (4, 28, 28)
    assert logits.mean((1, 2)).tolist() == [3, 1, 2, 1]

    found = branch.add(features(), [detections(boxes[0], [3, 1, 2]), detections(boxes[1], [1])])
    probs = [1 / (1 + math.exp(-label)) for label in (3, 1, 2)]
    assert found[0].mask_probs.mean((1, 2)).tolist() == pytest.approx(probs)
    assert found[1].mask_probs.shape == (1, 28, 28)
    assert torch.equal(found[0].boxes, boxes[0])


def test_the_loss_is_the_mean_over_the_foregrounds_own_class():
    class Learned(ClassImage):
        def __init__(self) -> None:
            super().__init__()
            self.logits = nn.Parameter(torch.tensor([5.0, -1.0, 0.0, 2.0]))

        def forward(self, x: Tensor, labels: Tensor) -> Tensor:
            return self.logits[labels, None, None].expand(-1, 28, 28)

    branch = branch_of(Learned())
    target = box_targets([[8, 8, 64, 64], [40, 8, 96, 64]], [3, 1], SIZE)
    rois = SampledRoIs(
        torch.cat([target.boxes, random_boxes(3, SIZE)]),
        torch.tensor([3, 1, 0, 0, 0]),
        torch.tensor([0, 1]),
    )
    empty = SampledRoIs(random_boxes(2, SIZE), torch.tensor([0, 0]), torch.zeros(0).long())
    losses = branch.losses(features(), [rois, empty], [target, box_targets([], [], SIZE)])
    # Masks of ones: -log(sigmoid(2)) and -log(sigmoid(-1)).
    wanted = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(1.0))) / 2
    assert losses["loss_mask"].item() == pytest.approx(wanted)
    losses["loss_mask"].backward()
    assert (branch.predictor.logits.grad != 0).tolist() == [False, True, False, True]


def test_nothing_detected_has_no_masks_of_the_right_shape(fresh_cfg):
    branch = build_mask_rcnn(8, (1 / 4,), NUM_CLASSES, fresh_cfg)
    none = detections(torch.zeros(0, 4), [])
    first, second = branch.add(features(), [none, none])
    assert first.mask_probs.shape == second.mask_probs.shape == (0, 28, 28)
    mixed = branch.add(features(), [none, detections(random_boxes(2, SIZE), [1, 2])])
    assert [len(d.mask_probs) for d in mixed] == [0, 2]


def test_without_foreground_the_loss_is_zero_and_leaves_gradients(fresh_cfg):
    branch = build_mask_rcnn(8, (1 / 4,), NUM_CLASSES, fresh_cfg).to(
        memory_format=torch.channels_last
    )
    loss = branch.losses(features(1), [foreground([], [])], [box_targets([], [], SIZE)])
    assert loss["loss_mask"].item() == 0
    loss["loss_mask"].backward()
    assert all(
        parameter.grad is not None and (parameter.grad == 0).all()
        for parameter in branch.parameters()
    )


@pytest.mark.parametrize("num_classes", [2, 81])
def test_an_untrained_branch_is_undecided(num_classes, fresh_cfg):
    torch.manual_seed(0)
    branch = build_mask_rcnn(8, (1 / 4,), num_classes, fresh_cfg)
    target = box_targets([[8, 8, 64, 64]], [1], SIZE)
    loss = branch.losses(features(1), [foreground(target.boxes.tolist(), [0])], [target])
    assert loss["loss_mask"].item() == pytest.approx(math.log(2), rel=0.02)


def test_the_predictor_doubles_the_grid():
    predictor = MaskPredictor(6, 8, NUM_CLASSES)
    labels = torch.tensor([2, 0, 1])
    assert predictor(torch.randn(3, 6, 14, 10), labels).shape == (3, 28, 20)
    assert predictor(torch.randn(0, 6, 14, 14), labels[:0]).shape == (0, 28, 28)


def test_the_predictor_gives_the_channel_of_the_label():
    predictor = MaskPredictor(6, 8, NUM_CLASSES)
    nn.init.normal_(predictor.mask_logits.weight)
    nn.init.normal_(predictor.mask_logits.bias)
    x, labels = torch.randn(3, 6, 14, 10), torch.tensor([2, 0, 2])
    every = predictor.mask_logits(predictor.deconv(x).relu())
    torch.testing.assert_close(predictor(x, labels), every[torch.arange(3), labels])


def test_the_config_sets_the_branch(fresh_cfg):
    fresh_cfg.MRCNN.ROI_XFORM_METHOD = "ROIPool"
    fresh_cfg.MRCNN.ROI_XFORM_RESOLUTION, fresh_cfg.MRCNN.RESOLUTION = (7, 9), (14, 18)
    branch = build_mask_rcnn(8, (1 / 4,), NUM_CLASSES, fresh_cfg)
    assert branch.pooler.method == "ROIPool"
    logits = branch(features(), [random_boxes(2, SIZE)] * 2, [torch.tensor([1, 2])] * 2)
    assert logits.shape == (4, 14, 18)
    assert branch.resolution == (14, 18)


def test_targets_may_be_averages_over_the_cell():
    # Cells of two pixels; unaligned, the points of the third lie at pixels 4.5 and 5.5, and the
    # mask begins at pixel 5: half of the first point, all of the second.
    crop = Crop(np.ones((56, 51), np.uint8), 5, 0)
    box = [0.0, 0.0, 56.0, 56.0]
    target = Targets(torch.tensor([box]), torch.tensor([1]), SIZE, 1, MaskCrops.pack([crop]))
    [mask] = mask_targets([foreground([box], [0])], [target], (28, 28), "roi_align")
    assert mask[0, :4].tolist() == [0, 0, 0.75, 1]


def test_masks_say_how_they_are_pasted(fresh_cfg):
    fresh_cfg.MRCNN.PASTE_METHOD = "integer_box"
    branch = build_mask_rcnn(8, (1 / 4,), NUM_CLASSES, fresh_cfg)
    [found] = branch.add(features(1), [detections(random_boxes(2, SIZE), [1, 2])])
    assert found.mask_paste == "integer_box"
