import math

import pytest
import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign, roi_align, roi_pool

from pet.layers.roi_pooler import LevelRule, RoIPooler, assign_levels

SCALES = (1 / 4, 1 / 8, 1 / 16, 1 / 32)


def pyramid(images: int = 2, channels: int = 3, side: int = 512) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(images, channels, int(side * s), int(side * s)) for s in (*SCALES, 1 / 64)]


def square(side: float) -> list[float]:
    return [8.0, 16.0, 8.0 + side, 16.0 + side]


def mixed_boxes() -> list[Tensor]:
    """Return RoIs of two images, their levels all mixed."""
    first = [square(side) for side in (300.0, 20.0, 150.0, 470.0, 33.5)]
    return [torch.tensor(first), torch.tensor([square(250.5), [0.0, 0.0, 500.0, 10.0]])]


@pytest.mark.parametrize(
    ("side", "level"),
    [
        (1.0, 0),
        (111.9, 0),
        (112.0, 1),  # from half of 224 on: stride 8
        (223.9, 1),
        (224.0, 2),  # the canonical side: stride 16
        (447.9, 2),
        (448.0, 3),
        (5000.0, 3),
    ],
)
def test_levels_at_their_boundaries(side, level):
    assert assign_levels(torch.tensor([square(side)]), SCALES).tolist() == [level]


def test_levels_go_by_area_and_bear_empty_boxes():
    boxes = torch.tensor(
        [
            [0.0, 0.0, 448.0, 112.0],  # the area of 224 x 224
            [5.0, 5.0, 5.0, 5.0],
            [9.0, 9.0, 5.0, 12.0],  # turned round
        ]
    )
    levels = assign_levels(boxes, SCALES)
    assert levels.dtype == torch.int64
    assert levels.tolist() == [2, 0, 0]
    assert assign_levels(torch.zeros(0, 4), SCALES).shape == (0,)


def test_boxes_that_are_not_finite_leave_the_others_alone():
    boxes = [torch.cat((per_image, per_image[:2])) for per_image in mixed_boxes()]
    pooler = RoIPooler("ROIAlign", resolution=(7, 7), sampling_ratio=2, spatial_scales=SCALES)
    wanted = pooler(pyramid(), boxes)
    boxes[0][-1, 2], boxes[1][-2] = math.inf, torch.full((4,), math.nan)
    found = pooler(pyramid(), boxes)
    finite = torch.cat(boxes).isfinite().all(dim=1)
    assert finite.sum() == len(finite) - 2
    torch.testing.assert_close(found[finite], wanted[finite])


def test_levels_count_from_the_finest_scale():
    boxes = torch.tensor([square(side) for side in (50.0, 150.0, 300.0, 600.0)])
    assert assign_levels(boxes, (1 / 8, 1 / 16)).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("method", "ratio"), [("ROIAlign", 2), ("ROIAlign", 0), ("ROIPool", 2)])
def test_each_roi_is_pooled_from_its_level_in_the_given_order(method, ratio):
    features, boxes = pyramid(), mixed_boxes()
    wanted = []
    for image, per_image in enumerate(boxes):
        for box in per_image:
            side = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
            level = min(max(math.floor(4 + math.log2(side / 224)), 2), 5) - 2
            roi = torch.cat([torch.tensor([float(image)]), box])[None]
            if method == "ROIPool":
                wanted.append(roi_pool(features[level], roi, (7, 5), SCALES[level]))
            else:
                wanted.append(
                    roi_align(
                        features[level], roi, (7, 5), SCALES[level], ratio or -1, aligned=True
                    )
                )
    pooled = RoIPooler(method, resolution=(7, 5), sampling_ratio=ratio, spatial_scales=SCALES)(
        features, boxes
    )
    assert pooled.shape == (7, 3, 7, 5)
    torch.testing.assert_close(pooled, torch.cat(wanted), atol=1e-6, rtol=0)


def test_aligned_pooling_reads_a_ramp_at_the_cells_centres():
    stride = 4
    ramp = (torch.arange(32.0) + 0.5) * stride  # the value of a pixel is the x of its centre
    feature = ramp.expand(1, 1, 32, 32)
    pooler = RoIPooler(
        "ROIAlign", resolution=(2, 4), sampling_ratio=2, spatial_scales=(1 / stride,)
    )
    pooled = pooler([feature], [torch.tensor([[20.0, 30.0, 60.0, 90.0]])])
    torch.testing.assert_close(pooled[0, 0], torch.tensor([25.0, 35.0, 45.0, 55.0]).expand(2, 4))


def test_gradients_reach_each_level_that_was_pooled_from():
    features = [feature.requires_grad_() for feature in pyramid(side=128)]
    RoIPooler("ROIAlign", resolution=(7, 7), sampling_ratio=2, spatial_scales=SCALES)(
        features, mixed_boxes()
    ).sum().backward()
    assert all(feature.grad.abs().sum() > 0 for feature in features[:4])
    assert features[4].grad is None  # the level above serves the proposals alone


@pytest.mark.parametrize("scales", [SCALES, (1 / 32,)])
@pytest.mark.parametrize("method", ["ROIAlign", "ROIPool"])
def test_no_rois(method, scales):
    features = pyramid(side=128)[-1 - len(scales) :]
    pooler = RoIPooler(method, resolution=(7, 7), sampling_ratio=2, spatial_scales=scales)
    assert pooler(features, [torch.zeros(0, 4), torch.zeros(0, 4)]).shape == (0, 3, 7, 7)
    one = pooler(features, [torch.zeros(0, 4), torch.tensor([[0.0, 0.0, 64.0, 64.0]])])
    alone = pooler([f[1:] for f in features], [torch.tensor([[0.0, 0.0, 64.0, 64.0]])])
    torch.testing.assert_close(one, alone)


def test_one_level_takes_every_roi():
    feature, boxes = pyramid()[2], mixed_boxes()
    rois = torch.cat(
        [torch.cat([torch.full((len(b), 1), float(n)), b], 1) for n, b in enumerate(boxes)]
    )
    wanted = roi_align(feature, rois, (7, 7), 1 / 16, 2, aligned=True)
    found = RoIPooler("ROIAlign", resolution=(7, 7), sampling_ratio=2, spatial_scales=(1 / 16,))(
        [feature], boxes
    )
    torch.testing.assert_close(found, wanted)


def test_an_unknown_method_says_what_there_is():
    with pytest.raises(ValueError, match=r"'RoIAlign'.*choose from ROIAlign, ROIPool"):
        RoIPooler("RoIAlign", resolution=(7, 7), sampling_ratio=2, spatial_scales=SCALES)


@pytest.mark.parametrize(
    ("side", "level_eps", "level"),
    [
        # Below 224 by a part in a million the level is 4 - 1.44e-6 (1 / ln 2 = 1.44).
        (224 * (1 - 1e-6), 0.0, 1),
        (224 * (1 - 1e-6), 1e-6, 1),
        (224 * (1 - 5e-7), 1e-6, 2),
        (224 * (1 - 5e-7), 0.0, 1),
    ],
)
def test_an_eps_on_the_level_moves_its_boundary(side, level_eps, level):
    # In float64: in float32 a level of 4 has steps of 5e-7.
    box = torch.tensor([[0.0, 0.0, side, side]], dtype=torch.float64)
    assert assign_levels(box, SCALES, LevelRule(ratio_eps=0.0, level_eps=level_eps)).tolist() == [
        level
    ]


def test_unaligned_pooling_is_torchvisions():
    features, boxes = pyramid(), mixed_boxes()
    theirs = MultiScaleRoIAlign(["0", "1", "2", "3"], (7, 5), 2)
    named = {str(level): feature for level, feature in enumerate(features[:4])}
    pooler = RoIPooler(
        "ROIAlign",
        resolution=(7, 5),
        sampling_ratio=2,
        spatial_scales=SCALES,
        aligned=False,
        level_rule=LevelRule(ratio_eps=0.0, level_eps=1e-6),
    )
    wanted = theirs(named, boxes, [(512, 512)] * 2)
    torch.testing.assert_close(pooler(features, boxes), wanted, atol=1e-6, rtol=0)


def test_unaligned_pooling_reads_half_a_pixel_further():
    stride = 4
    ramp = (torch.arange(32.0) + 0.5) * stride
    pooler = RoIPooler(
        "ROIAlign", resolution=(2, 4), sampling_ratio=2, spatial_scales=(1 / stride,), aligned=False
    )
    pooled = pooler([ramp.expand(1, 1, 32, 32)], [torch.tensor([[20.0, 30.0, 60.0, 90.0]])])
    torch.testing.assert_close(pooled[0, 0], torch.tensor([27.0, 37.0, 47.0, 57.0]).expand(2, 4))
