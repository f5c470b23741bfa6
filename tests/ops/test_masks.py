import numpy as np
import torch
from torch.nn.functional import grid_sample

from pet.ops.masks import sample_crops
from pet.structures import Crop, MaskCrops


def _sample(crops, boxes, index, resolution):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    index = torch.tensor(index, dtype=torch.int64)
    packed = vars(MaskCrops.pack(crops))
    return sample_crops(**packed, boxes=boxes, index=index, resolution=resolution)


def test_a_grid_on_the_pixels_gives_the_pixels():
    bits = np.array([[1, 0, 1], [0, 1, 1]], np.uint8)
    (sampled,) = _sample([Crop(bits, 5, 7)], [(5, 7, 8, 9)], [0], (2, 3))
    assert sampled.tolist() == bits.tolist()


def test_between_pixels_by_hand():
    bits = np.array([[1, 0]], np.uint8)
    # Cells 0.5 wide from x = 0: centres at 0.25, 0.75, 1.25, 1.75; pixel centres at 0.5 and 1.5.
    (sampled,) = _sample([Crop(bits, 0, 0)], [(0, 0, 2, 1)], [0], (1, 4))
    assert sampled.tolist() == [[0.75, 0.75, 0.25, 0.0]]


def test_outside_the_crop_is_background():
    bits = np.ones((2, 2), np.uint8)
    (sampled,) = _sample([Crop(bits, 10, 10)], [(8, 10, 12, 12)], [0], (2, 4))
    assert sampled.tolist() == [[0, 0, 1, 1]] * 2


def test_masks_do_not_leak_into_each_other():
    crops = [Crop(np.ones((2, 2), np.uint8), 0, 0), Crop(np.zeros((2, 2), np.uint8), 0, 0)]
    sampled = _sample([crops[0], crops[1], crops[0]], [(0, 0, 2, 2)] * 2, [1, 2], (2, 2))
    assert sampled.tolist() == [[[0, 0]] * 2, [[1, 1]] * 2]


def test_nothing_to_sample():
    crop = Crop(np.ones((2, 2), np.uint8), 0, 0)
    assert _sample([crop], [], [], (28, 28)).shape == (0, 28, 28)
    assert _sample([], [], [], (28, 28)).shape == (0, 28, 28)
    empty = Crop(np.zeros((0, 3), np.uint8), 1, 1)
    assert _sample([empty], [(0, 0, 4, 4)], [0], (2, 2)).sum() == 0


def test_sampling_equals_grid_sample_on_full_images():
    rng = np.random.default_rng(0)
    size, crops, boxes = (40, 50), [], []
    for _ in range(30):
        x, y = int(rng.integers(0, 40)), int(rng.integers(0, 30))
        shape = int(rng.integers(1, 41 - y)), int(rng.integers(1, 51 - x))
        crops.append(Crop((rng.random(shape) < 0.6).astype(np.uint8), x, y))
        low = rng.uniform(-3, 40, 2)
        boxes.append((*low, *(low + rng.uniform(0.5, 25, 2))))
    sampled = _sample(crops, boxes, list(range(30)), (7, 9))
    for crop, (x1, y1, x2, y2), got in zip(crops, boxes, sampled, strict=True):
        full = torch.zeros(1, 1, *size)
        height, width = crop.bits.shape
        full[0, 0, crop.y : crop.y + height, crop.x : crop.x + width] = torch.from_numpy(crop.bits)
        columns = x1 + (torch.arange(9) + 0.5) / 9 * (x2 - x1)
        rows = y1 + (torch.arange(7) + 0.5) / 7 * (y2 - y1)
        got_there = _grid_sample(full, columns / size[1], rows / size[0])
        assert torch.allclose(got, got_there, atol=1e-4)


def _grid_sample(image, columns, rows):
    """Sample ``image`` (1, 1, H, W) where a row and a column, in [0, 1] of its sides, cross."""
    y, x = torch.meshgrid(rows * 2 - 1, columns * 2 - 1, indexing="ij")
    grid = torch.stack((x, y), dim=-1)[None].float()
    return grid_sample(image, grid, padding_mode="zeros", align_corners=False)[0, 0]
