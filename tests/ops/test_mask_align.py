import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from pet.ops import mask_align
from pet.ops.mask_align import align_crops
from pet.structures import Crop, MaskCrops

HEIGHT, WIDTH = 40, 56


def crop_of(mask: np.ndarray) -> Crop:
    """Return the part of a full ``mask`` around its foreground."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    tight = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Crop(np.ascontiguousarray(tight), int(columns[0]), int(rows[0]))


def align(crops, boxes, index, resolution=(28, 28)):
    masks = MaskCrops.pack(crops)
    return align_crops(
        **vars(masks),
        boxes=boxes,
        index=index,
        resolution=resolution,
        limits=torch.tensor([[WIDTH, HEIGHT]]).expand(len(boxes), 2),
    )


def test_a_cell_is_the_mean_of_its_points_by_hand():
    # A mask of rows 4..7 in a box of rows 0..8, in 2 cells of 4 points at pixels 0.5, 1.5, ...
    # The points of the upper cell are 0.5, 1.5, 2.5, 3.5: the last lies half way to row 4.
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:8, :20] = 1
    aligned = align(
        [crop_of(mask)], torch.tensor([[0.0, 0.0, 8.0, 8.0]]), torch.tensor([0]), (2, 1)
    )
    assert aligned.flatten().tolist() == [0.5 / 4, 3.5 / 4]


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_torchvisions_roi_align_of_full_masks(seed):
    rng = np.random.default_rng(seed)
    masks = []
    for x, y, width, height in (
        (0, 0, 56, 40),
        (5, 9, 12, 20),
        (30, 0, 26, 7),
        (0, 33, 3, 7),
        (50, 2, 6, 38),
    ):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[y : y + height, x : x + width] = rng.random((height, width)) < 0.7
        masks.append(mask)
    corner = torch.from_numpy(rng.uniform(0, (WIDTH - 1, HEIGHT - 1), (60, 2))).float()
    far = torch.from_numpy(rng.uniform(0, 1, (60, 2))).float()
    boxes = torch.cat([corner, corner + far * (torch.tensor([WIDTH, HEIGHT]) - corner)], dim=1)
    boxes[:3] = torch.tensor([[0, 0, WIDTH, HEIGHT], [0, 0, 28, 28], [3.25, 4.5, 3.5, 4.75]])
    index = torch.from_numpy(rng.integers(0, len(masks), 60))
    full = torch.from_numpy(np.stack(masks)).float()[:, None]
    wanted = roi_align(full, torch.cat([index[:, None].float(), boxes], 1), (28, 28), 1.0)[:, 0]
    found = align([crop_of(mask) for mask in masks], boxes, index)
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=0)
    assert 0.1 < wanted.mean() < 0.9


def test_in_parts_it_is_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    shapes = [(3, 5), (40, 56), (12, 1), (1, 30), (20, 20)]
    crops = [Crop(rng.integers(0, 2, shape, np.uint8), 0, 0) for shape in shapes]
    boxes = torch.from_numpy(rng.uniform(0, 20, (30, 4))).float().cumsum(dim=1)
    index = torch.from_numpy(rng.integers(0, len(crops), 30))
    whole = align(crops, boxes, index)
    monkeypatch.setattr(mask_align, "_MAX_PIXELS", 500)
    torch.testing.assert_close(align(crops, boxes, index), whole)


def test_bfloat16_around_it_changes_nothing():
    crop = Crop(np.triu(np.ones((30, 30), np.uint8)), 2, 3)
    boxes, index = torch.tensor([[1.3, 2.1, 33.9, 35.2]]), torch.tensor([0])
    wanted = align([crop], boxes, index)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(align([crop], boxes, index), wanted)


def test_no_boxes_and_an_empty_mask():
    empty = Crop(np.zeros((0, 0), np.uint8), 0, 0)
    assert align([empty], torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).shape == (0, 28, 28)
    box = torch.tensor([[1.0, 1.0, 9.0, 9.0]])
    assert align([empty], box, torch.tensor([0])).sum() == 0
