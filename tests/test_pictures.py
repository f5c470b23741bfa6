"""The computed content of the tutorials' pictures, and their files."""

import numpy as np
import pytest
import torch
from torchvision.ops import roi_pool

from docs.pictures import fpn, loader, roi_align, rpn
from docs.pictures.__main__ import PICTURES
from docs.pictures.blocks import save
from pet.ops.roi_align import roi_align as pet_roi_align
from tests.source_code import ROOT

MAX_BYTES = 200_000


@pytest.fixture(scope="module")
def matched() -> rpn.Matched:
    return rpn.match_anchors()


def all_anchors(height: int, width: int) -> np.ndarray:
    """Return the anchors (A_all, 4) of all levels, in any order, of a padded image."""
    anchors = []
    for stride, size in zip((4, 8, 16, 32, 64), (32, 64, 128, 256, 512), strict=True):
        for ratio in (0.5, 1, 2):
            half_width, half_height = size / ratio**0.5 / 2, size * ratio**0.5 / 2
            x, y = np.meshgrid(np.arange(0, width, stride), np.arange(0, height, stride))
            box = (x - half_width, y - half_height, x + half_width, y + half_height)
            anchors.append(np.stack([side.ravel() for side in box], axis=1))
    return np.concatenate(anchors)


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the IoU of one box with each of ``others`` (A, 4)."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = sides.clip(0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return common / ((box[2:] - box[:2]).prod() + areas - common)


def test_the_kinds_of_anchors_by_another_computation(matched):
    anchors = all_anchors(*matched.image.shape[:2])
    iou = np.stack([overlap(box, anchors) for box in matched.boxes.double().numpy()])
    best = iou.max(axis=0)
    is_best_of_one = (iou > iou.max(axis=1, keepdims=True) - 1e-6).any(axis=0)
    foreground = (best >= 0.7) | is_best_of_one
    assert foreground.sum() == (matched.kinds == rpn.FOREGROUND).sum() == 9
    assert (best >= 0.7).sum() == matched.above.sum() == 4
    background = (best < 0.3) & ~foreground
    assert background.sum() == (matched.kinds == rpn.BACKGROUND).sum() == 184_808
    assert len(anchors) == len(matched.kinds) == 9 + 643 + 184_808  # the numbers of the tutorials


def test_the_anchors_of_one_position(matched):
    levels = rpn.at_position(matched, 448, 384)
    assert [len(level) for level in levels] == [3] * 5
    assert levels[0][1].tolist() == [432, 368, 464, 400]  # 32 x 32
    wide, _, tall = levels[4]  # height / width 0.5, 1 and 2
    assert (tall[2:] - tall[:2]).flip(0).tolist() == (wide[2:] - wide[:2]).tolist()
    torch.testing.assert_close((wide[2:] - wide[:2]).prod(), torch.tensor(512.0**2))


def test_the_levels_of_rois():
    sides = torch.tensor([1.0, 111, 112, 223, 224, 447, 448, 2000])
    assert fpn.levels_of_sides(sides).tolist() == [2, 2, 3, 3, 4, 4, 5, 5]


def test_the_batch_of_two_pictures():
    samples, (images, targets, _) = loader.make_batch()
    assert images.tensor.shape == (2, 3, 800, 1184)
    assert images.sizes == ((800, 1168), (800, 896))
    x1, x2 = samples[1].boxes[:, 0], samples[1].boxes[:, 2]  # of the one that is mirrored
    mirrored = torch.stack((196 - x2, 196 - x1), dim=1) * (896 / 196)
    torch.testing.assert_close(targets[1].boxes[:, ::2], mirrored)


@pytest.fixture
def of_roi() -> tuple[torch.Tensor, torch.Tensor]:
    """Return a map (1, 1, 8, 9) and the drawn RoI (1, 5)."""
    values = torch.rand(1, 1, 8, 9, generator=torch.Generator().manual_seed(0))
    return values, torch.tensor([(0, *roi_align.BOX)])


def test_the_pixels_of_roi_pool(of_roi):
    values, roi = of_roi
    pooled = roi_pool(values, roi, (2, 2), 1 / roi_align.STRIDE)[0, 0]
    (x1, y1, x2, y2) = roi_align.BOX
    for row, rows in enumerate(roi_align.pooled_spans(y1, y2)):
        for column, columns in enumerate(roi_align.pooled_spans(x1, x2)):
            cell = values[0, 0, rows.start : rows.end, columns.start : columns.end]
            assert cell.max() == pooled[row, column]


def test_the_points_of_roi_align(of_roi):
    values, roi = of_roi
    (x1, y1, x2, y2) = roi_align.BOX
    y, x = torch.meshgrid(
        roi_align.aligned_points(y1, y2), roi_align.aligned_points(x1, x2), indexing="ij"
    )
    # grid_sample counts from -1 to 1 over the whole map.
    places = torch.stack((x / 9, y / 8), dim=-1)[None] * 2 - 1
    points = torch.nn.functional.grid_sample(values, places, align_corners=False)
    expected = torch.nn.functional.avg_pool2d(points, roi_align.RATIO)
    aligned = pet_roi_align(
        values, roi, resolution=(2, 2), scale=1 / 32, sampling_ratio=2, aligned=True
    )
    torch.testing.assert_close(aligned, expected)


def test_a_picture_is_drawn_alike_each_time(tmp_path):
    for name in ("one.png", "two.png"):
        save(PICTURES["tutorial_rpn_head"](), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("name", PICTURES)
def test_each_picture_is_there_small_and_shown(name):
    file = f"images/{name}.png"
    assert 0 < (ROOT / "docs" / file).stat().st_size < MAX_BYTES
    for page in ("tutorial.md", "tutorial.zh.md"):
        assert f"]({file})" in (ROOT / "docs" / page).read_text(encoding="utf-8")
