import pytest
import torch
from torch.nn.functional import grid_sample
from torchvision.models.detection.roi_heads import paste_masks_in_image

from pet.ops.paste import PASTE_METHODS, paste_integer_box, paste_pixel_centre

ONES = torch.ones(4, 4)


def paste(method, prob, box, size) -> torch.Tensor:
    """Return the mask over the whole image, checking that what was pasted lies inside it."""
    box = torch.as_tensor(box, dtype=torch.float32)
    bits, x, y = method(torch.as_tensor(prob, dtype=torch.float32), box, size)
    assert bits.dtype == torch.bool
    assert 0 <= x <= x + bits.shape[1] <= size[1] and 0 <= y <= y + bits.shape[0] <= size[0]
    full = torch.zeros(size, dtype=torch.bool)
    full[y : y + bits.shape[0], x : x + bits.shape[1]] = bits
    return full


def random_masks(count: int, shape: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Return (count, *shape) masks: half of them rough, half of 0 and 1 with all between."""
    rough = torch.rand(count, *shape, generator=generator)
    saturated = (4 * torch.randn(count, *shape, generator=generator)).sigmoid().round(decimals=1)
    return torch.where(torch.arange(count)[:, None, None] % 2 == 0, rough, saturated)


def random_boxes(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    """Return (count, 4) boxes with their first corner in [low, high], of 0.2 to 40 pixels."""
    corner = low + (high - low) * torch.rand(count, 2, generator=generator)
    sides = 0.2 + 40 * torch.rand(count, 2, generator=generator) ** 2
    return torch.cat([corner, corner + sides], dim=1)


# Pixel centres -----------------------------------------------------------------------------------


def test_pixel_centres_by_hand():
    pasted = paste(paste_pixel_centre, [[1, 0], [1, 0]], (1, 1, 5, 3), (4, 6))
    # Cell centres at x = 2 and 4: the column centred at 2.5 holds 0.75, that at 3.5 only 0.25; at
    # 1.5, a quarter cell before the first centre, 0.75 is left and 0.25 of it fades to zero.
    assert pasted.int().tolist() == [[0] * 6, [0, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0] * 6]


def test_pixel_centres_keep_what_is_exactly_half():
    # Cells of two pixels, with centres at x = 1 and 3: 0.5 * 0.75 + 0.5 * 0.25 and so on.
    assert paste(paste_pixel_centre, [[0.5, 0.5]], (0, 0, 4, 1), (1, 4)).tolist() == [
        [False, True, True, False]
    ]
    assert not paste(paste_pixel_centre, [[0.4999, 0.4999]], (0, 0, 4, 1), (1, 4)).any()


def test_pixel_centres_over_the_edges_and_outside():
    assert paste(paste_pixel_centre, ONES, (-4, -4, 4, 4), (6, 6)).sum() == 16
    assert paste(paste_pixel_centre, ONES, (-100, -100, 100, 100), (6, 7)).all()
    for box in ((8, 8, 9, 9), (-9, -9, -8, -8), (2.6, 2.6, 2.9, 2.9), (3, 3, 3, 3)):
        assert not paste(paste_pixel_centre, ONES, box, (6, 6)).any()


@pytest.mark.parametrize("box", [(2.5, 0, 2.5, 6), (0, 2.5, 6, 2.5), (2.5, 2.5, 2.5, 2.5)])
def test_an_empty_box_on_a_pixel_centre_holds_nothing(box):
    assert not paste(paste_pixel_centre, ONES, box, (6, 6)).any()
    assert not paste(paste_pixel_centre, ONES, box[2:] + box[:2], (6, 6)).any()  # nor the wrong way


def detectron2_values(prob, box, size) -> torch.Tensor:
    """Sample ``prob`` over a whole image of ``size`` as detectron2 does; (H, W) values."""
    x0, y0, x1, y1 = torch.as_tensor(box, dtype=torch.float32)
    x = (torch.arange(size[1]) + 0.5 - x0) / (x1 - x0) * 2 - 1
    y = (torch.arange(size[0]) + 0.5 - y0) / (y1 - y0) * 2 - 1
    grid = torch.stack((x.expand(size), y[:, None].expand(size)), dim=-1)[None]
    return grid_sample(prob[None, None], grid, padding_mode="zeros", align_corners=False)[0, 0]


@pytest.mark.parametrize("shape", [(28, 28), (14, 14), (7, 12), (1, 1)])
def test_pixel_centres_equal_grid_sample_over_the_image(shape):
    generator = torch.Generator().manual_seed(0)
    size, ties, kept = (30, 40), 0, 0
    boxes = random_boxes(60, -25, 42, generator)
    for prob, box in zip(random_masks(60, shape, generator), boxes, strict=True):
        expected = detectron2_values(prob, box, size)
        pasted = paste(paste_pixel_centre, prob, box, size)
        differs = pasted != (expected >= 0.5)
        assert ((expected[differs] - 0.5).abs() < 1e-5).all()
        ties, kept = ties + int(differs.sum()), kept + int(pasted.sum())
    assert ties < 5 and kept > 400


# Integer boxes -----------------------------------------------------------------------------------


def test_an_integer_box_by_hand():
    # A box of 2 x 2 pixels at (2, 1) and two cells a side: with the rim it is 4 x 4, from (1, 0) to
    # (5, 4), so 5 x 5 whole pixels for the cells 0 1 1 0. Their centres fall on 0.8 i - 0.1 of the
    # cells, -0.1, 0.7, 1.5, 2.3 and 3.1, where the values are 0, 0.7, 1, 0.7 and 0. Products above
    # a half make a cross.
    pasted = paste(paste_integer_box, torch.ones(2, 2), (2, 1, 4, 3), (5, 7))
    assert pasted.int().tolist() == [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]


def torchvision_mask(prob, box, size) -> torch.Tensor:
    return paste_masks_in_image(prob[None, None], box[None], size)[0, 0] > 0.5


@pytest.mark.parametrize("cells", [28, 14, 56, 7, 1])
@pytest.mark.parametrize(("low", "high"), [(-20, 38), (0, 28), (-1.5, 1)])
def test_integer_boxes_equal_torchvision(cells, low, high):
    generator = torch.Generator().manual_seed(cells)
    size = (30, 40)
    boxes = random_boxes(60, low, high, generator)
    # None lies wholly outside, which torchvision cannot paste.
    boxes[:, 2:] = boxes[:, 2:].clamp(min=0.1)
    boxes[:, 1] = boxes[:, 1].clamp(max=29)
    for prob, box in zip(random_masks(60, (cells, cells), generator), boxes, strict=True):
        pasted = paste(paste_integer_box, prob, box, size)
        assert torch.equal(pasted, torchvision_mask(prob, box, size))


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 40, 30),
        (0, 0, 0.3, 0.3),
        (-0.7, -0.7, -0.1, -0.1),  # cut towards zero: on pixel (0, 0)
        (-0.9, 3, 4.9, 8),
        (39.6, 29.6, 40, 30),
        (12.2, 12.2, 12.9, 12.4),
        (7, 7, 7, 7),
        (39, 10, 40, 11),
        (-300, -200, 400, 300),
    ],
)
def test_integer_boxes_equal_torchvision_at_the_edges(box):
    size, box = (30, 40), torch.tensor(box, dtype=torch.float32)
    for prob in (
        torch.ones(28, 28),
        torch.rand(28, 28, generator=torch.Generator().manual_seed(0)),
    ):
        pasted = paste(paste_integer_box, prob, box, size)
        assert torch.equal(pasted, torchvision_mask(prob, box, size))


@pytest.mark.parametrize(
    "box", [(50, 5, 60, 9), (5, 40, 9, 50), (-30, 5, -20, 9), (5, -30, 9, -20)]
)
def test_integer_boxes_outside_the_image_hold_nothing(box):
    assert not paste(paste_integer_box, ONES, box, (30, 40)).any()


def test_an_integer_box_of_a_grid_that_is_not_square():
    # The rim is one cell on every side, whatever the number of cells there.
    wide = paste(paste_integer_box, torch.ones(2, 4), (4, 4, 12, 8), (12, 16))
    # 8 x 4 pixels, 4 x 2 cells: with the rim 12 x 8, from (2, 2) to (14, 10).
    tall = paste(paste_integer_box, torch.ones(4, 2), (4, 4, 8, 12), (16, 12))
    assert torch.equal(wide, tall.T)
    assert wide.any(dim=0).nonzero().flatten().tolist() == list(range(4, 13))


# Both --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PASTE_METHODS)
def test_a_full_mask_fills_its_box_to_a_pixel(name):
    pasted = paste(PASTE_METHODS[name], torch.ones(28, 28), (10, 20, 70, 60), (100, 90))
    assert pasted[22:58, 12:68].all()
    outside = pasted.clone()
    outside[19:62, 9:72] = False
    assert not outside.any()


@pytest.mark.parametrize("name", PASTE_METHODS)
def test_an_empty_mask_stays_empty(name):
    assert not paste(PASTE_METHODS[name], torch.zeros(28, 28), (1, 2, 30, 20), (30, 40)).any()
