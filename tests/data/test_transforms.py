import numpy as np
import pytest
import torch

from pet.data.sample import Sample, make_targets
from pet.data.transforms import RandomHorizontalFlip, Resize, resize_image, resized_size
from pet.structures import BitMask, Crop, ImageInfo, PolygonMask


def _sample(height=4, width=6, boxes=((1, 1, 3, 2),), masks=()) -> Sample:
    image = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.arange(1, len(boxes) + 1)
    return Sample(image, ImageInfo(7, height, width, "a.png"), boxes, labels, masks)


def _rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("size", "short_side", "max_size", "expected"),
    [
        ((480, 640), 800, 1333, (800, 1067)),  # 640 * 800 / 480 = 1066.67
        ((640, 480), 800, 1333, (1067, 800)),
        ((400, 1000), 800, 1333, (533, 1333)),  # the longer side binds: 400 * 1.333 = 533.2
        ((427, 640), 160, 1333, (160, 240)),  # 239.8
        ((2, 5), 3, 100, (3, 8)),  # 7.5 rounds up
        ((1, 1000), 800, 100, (1, 100)),  # never to nothing
        ((800, 900), 800, 1333, (800, 900)),
    ],
)
def test_resized_size(size, short_side, max_size, expected):
    assert resized_size(size, short_side, max_size) == expected


def test_shrinking_takes_the_mean_and_growing_interpolates():
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, 1] = 100
    assert resize_image(image, (1, 2))[0, :, 0].tolist() == [50, 0]
    # Centres of the new pixels lie at 0.25, 0.75, ... of the old ones.
    assert resize_image(image, (4, 8))[0, :4, 0].tolist() == [0, 25, 75, 75]
    assert resize_image(image, (2, 4)) is image


def test_resize_by_hand():
    polygon = PolygonMask((np.array([(1.0, 1.0), (3.0, 1.0), (3.0, 2.0)]),))
    bits = BitMask(Crop(np.ones((1, 2), np.uint8), 1, 1), (4, 6))
    sample = Resize([8], 100)(_sample(masks=(polygon, bits)), _rng())
    assert sample.image.shape == (8, 12, 3)
    assert sample.boxes.tolist() == [[2, 2, 6, 4]]
    assert sample.masks[0].polygons[0].tolist() == [[2, 2], [6, 2], [6, 4]]
    crop = sample.masks[1].crop((8, 12))
    assert (crop.x, crop.y, crop.bits.tolist()) == (2, 2, [[1] * 4] * 2)
    assert sample.info == ImageInfo(7, 4, 6, "a.png")  # of the image as stored


def test_resize_stretches_by_the_rounded_sides():
    sample = Resize([3], 100)(_sample(2, 5, boxes=((0, 0, 5, 2),)), _rng())
    assert sample.image.shape == (3, 8, 3)
    assert sample.boxes.tolist() == [[0, 0, 8, 3]]


def test_resize_draws_every_scale():
    resize = Resize([4, 8, 16], 100)
    drawn = [resize(_sample(), _rng(seed)).image.shape[0] for seed in range(60)]
    assert set(drawn) == {4, 8, 16}
    assert drawn == [resize(_sample(), _rng(seed)).image.shape[0] for seed in range(60)]


def test_flip_by_hand():
    polygon = PolygonMask((np.array([(1.0, 1.0), (3.0, 1.0), (3.0, 2.0)]),))
    bits = BitMask(Crop(np.array([[1, 1, 0]], np.uint8), 1, 1), (4, 6))
    before = _sample(masks=(polygon, bits))
    sample = RandomHorizontalFlip(1.0)(before, _rng())
    assert np.array_equal(sample.image, before.image[:, ::-1])
    assert sample.boxes.tolist() == [[3, 1, 5, 2]]
    assert sample.masks[0].polygons[0].tolist() == [[5, 1], [3, 1], [3, 2]]
    crop = sample.masks[1].crop((4, 6))
    assert (crop.x, crop.y, crop.bits.tolist()) == (2, 1, [[0, 1, 1]])


def test_flip_by_chance():
    before = _sample()
    flips = [RandomHorizontalFlip(0.5)(before, _rng(seed)) is not before for seed in range(400)]
    assert 150 < sum(flips) < 250
    assert RandomHorizontalFlip(0.0)(before, _rng()) is before


@pytest.mark.parametrize("transform", [Resize([9], 50), RandomHorizontalFlip(1.0)])
def test_nothing_annotated(transform):
    for masks in ((), None):
        sample = transform(_sample(boxes=(), masks=masks), _rng())
        assert sample.boxes.shape == (0, 4) and sample.masks == masks
        targets = make_targets(sample)
        assert len(targets) == 0
        assert targets.masks is None if masks is None else len(targets.masks) == 0


def test_targets_are_clipped_and_empty_ones_dropped_with_their_masks():
    boxes = ((-1, 1, 3, 9), (2, 2, 2, 3), (7, 0, 9, 2), (1, 1, 2, 2))
    masks = tuple(
        PolygonMask((np.array([(x, 0.0), (x + 1, 0), (x + 1, 1), (x, 1)]),)) for x in range(4)
    )
    targets = make_targets(_sample(boxes=boxes, masks=masks))
    assert targets.boxes.tolist() == [[0, 1, 3, 4], [1, 1, 2, 2]]
    assert targets.boxes.dtype == torch.float32
    assert targets.labels.tolist() == [1, 4]
    assert [targets.masks.unpack(index).x for index in range(2)] == [0, 3]
    assert (targets.size, targets.image_id) == ((4, 6), 7)
