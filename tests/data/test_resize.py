"""Resizing to the pixel as detectron2 (half_up, pil) and torchvision (floor, float) do it."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from pet.data.collate import batch_images
from pet.data.sample import Sample, bare_sample
from pet.data.transforms import RandomHorizontalFlip, Resize, resize_image, resized_size
from pet.layers.pixel_norm import PixelNorm
from pet.structures import ImageInfo

# Heights and widths that 60 and 100 make smaller, larger, or both bind: a side, and the other.
SHAPES = [(37, 45), (45, 37), (120, 160), (61, 60), (60, 60), (20, 90), (90, 20), (60, 100), (5, 7)]


def _picture(height, width, seed=0) -> np.ndarray:
    return np.random.default_rng((seed, height, width)).integers(
        0, 256, (height, width, 3), np.uint8
    )


def _chw(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).float().contiguous()


# The sides ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "half_up", "floor"),
    [
        ((480, 640), (800, 1067), (800, 1066)),  # 1066.67
        ((427, 640), (800, 1199), (800, 1199)),  # 1199.06
        ((256, 260), (800, 813), (800, 812)),  # 260 * 3.125 is 812.5
        ((260, 256), (813, 800), (812, 800)),
        ((289, 289), (800, 800), (799, 799)),  # 289 * (800 / 289) is a little less than 800
        ((289, 300), (800, 830), (799, 830)),
        # The longer side binds. By fractions the shorter one is 210 * 1333 / 620 = 451.5; the two
        # scales one after the other, 800 / 210 and 1333 / 2361.9, come out just below.
        ((210, 620), (451, 1333), (451, 1333)),
        # 200 * 1333 / 596 is 447.3, and 596 * (1333 / 596) a little less than 1333.
        ((200, 596), (447, 1333), (447, 1332)),
        # 200 * 1333 / 601 is 443.594, and 200 * 1333 / 1000 is 266.6.
        ((200, 601), (444, 1333), (443, 1332)),
        ((1000, 200), (1333, 267), (1333, 266)),
        ((1, 5000), (1, 1333), (1, 1333)),  # never to nothing
        ((5000, 1), (1333, 1), (1333, 1)),
    ],
)
def test_sides_by_hand(size, half_up, floor):
    assert resized_size(size, 800, 1333) == half_up
    assert resized_size(size, 800, 1333, "half_up") == half_up
    assert resized_size(size, 800, 1333, "floor") == floor


def test_floored_sides_are_those_of_pytorch():
    missed = 0  # sizes of which neither side reaches its limit
    for height in range(1, 60):
        for width in range(height, 120, 7):
            sides = resized_size((height, width), 8, 13, "floor")
            image = torch.zeros(1, 1, 1, 1).expand(1, 1, height, width)
            scale = min(8 / height, 13 / width)
            if height * scale >= 1:  # PyTorch refuses an empty side
                expected = torch.nn.functional.interpolate(
                    image, scale_factor=scale, recompute_scale_factor=True
                )
                assert sides == tuple(expected.shape[2:])
            missed += sides[0] != 8 and sides[1] != 13
    assert missed > 0


# The pixels --------------------------------------------------------------------------------------


def test_the_four_ways_to_halve_a_row():
    image = np.zeros((1, 4, 3), np.uint8)
    image[0, :, 0] = (70, 140, 210, 35)
    rows = {
        way: resize_image(image, (1, 2), way)[0, :, 0].tolist()
        for way in ("opencv", "pil", "float")
    }
    # Pillow weighs by a triangle two old pixels to either side of the new one's centre, cut off at
    # the border: 3, 3, 1 of 7, and 1, 3, 3 of 7.
    assert rows["pil"] == [30 + 60 + 30, 20 + 90 + 15]
    # The others take the mean of two, and round it or not.
    assert rows["opencv"] == [105, 122]
    assert rows["float"] == [105.0, 122.5]


def test_float_takes_the_nearest_pixels_alone_and_keeps_fractions():
    image = np.zeros((1, 6, 3), np.uint8)
    image[0, :, 1] = (0, 1, 200, 200, 2, 5)
    # New centres lie at 1.5 and 4.5 of the old row: the middle of the pixels 1 and 4.
    assert resize_image(image, (1, 2), "float")[0, :, 1].tolist() == [1, 2]
    # At 0.75, 2.25, 3.75 and 5.25: a quarter off the middle of the pixels 0, 2, 3 and 5.
    grown = resize_image(image, (1, 4), "float")
    assert grown[0, :, 1].tolist() == [0.25, 150.25, 150.5, 4.25]
    assert grown.dtype == np.float32


@pytest.mark.parametrize("size", [(40, 30), (130, 200), (40, 200), (61, 47), (1, 1), (61, 90)])
def test_pil_is_pillow(size):
    image = _picture(61, 90)
    expected = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    resized = resize_image(image, size, "pil")
    assert resized.dtype == np.uint8 and resized.flags.writeable
    assert np.array_equal(resized, np.asarray(expected))


@pytest.mark.parametrize("way", ["pil", "float"])
def test_a_mirrored_view_is_resized_as_its_copy(way):
    view = _picture(20, 30)[:, ::-1]
    copied = resize_image(view.copy(), (31, 47), way)
    assert np.array_equal(resize_image(view, (31, 47), way), copied)


def test_nothing_to_resize():
    image = _picture(9, 8)
    assert resize_image(image, (9, 8), "pil") is image
    same = resize_image(image, (9, 8), "float")
    assert same.dtype == np.float32 and np.array_equal(same, image)


def test_a_batch_is_that_of_torchvision_to_the_bit():
    images = [_picture(*shape) for shape in SHAPES]
    peer = GeneralizedRCNNTransform(60, 100, [0.0] * 3, [1.0] * 3).eval()
    expected, _ = peer([_chw(image) for image in images])
    batch = batch_images(
        [
            resize_image(image, resized_size(image.shape[:2], 60, 100, "floor"), "float")
            for image in images
        ],
        32,
    )
    assert batch.tensor.dtype == torch.float32
    assert list(batch.sizes) == expected.image_sizes
    assert torch.equal(batch.tensor, expected.tensors)


def test_the_network_sees_what_that_of_torchvision_sees():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    images = [_picture(*shape) for shape in SHAPES]
    peer = GeneralizedRCNNTransform(60, 100, mean, std).eval()
    expected, _ = peer([_chw(image).flip(0) / 255 for image in images])
    resize = Resize([60], 100, "float", "floor")
    samples = [resize(bare_sample(image), np.random.default_rng(0)) for image in images]
    norm = PixelNorm("RGB", [255 * m for m in mean], [255 * s for s in std])
    x = norm(batch_images([sample.batch_image for sample in samples], 32))
    torch.testing.assert_close(x.contiguous(), expected.tensors, rtol=0, atol=5e-6)


# Samples -----------------------------------------------------------------------------------------


def test_boxes_go_by_the_sides_that_the_rounding_gives():
    boxes = torch.tensor([[0.0, 0.0, 260.0, 256.0], [26.0, 64.0, 52.0, 128.0]])
    sample = Sample(
        _picture(256, 260), ImageInfo(1, 256, 260, ""), boxes, torch.tensor([1, 2]), None
    )
    for way, rounding, width in (("pil", "half_up", 813), ("float", "floor", 812)):
        resized = Resize([800], 1333, way, rounding)(sample, np.random.default_rng(0))
        assert resized.size == (800, width)
        assert resized.image.shape == ((256, 260, 3) if way == "float" else (800, width, 3))
        expected = [[0, 0, width, 800], [width / 10, 200, width / 5, 400]]
        torch.testing.assert_close(resized.boxes, torch.tensor(expected))


def test_what_is_resized_on_the_device_is_mirrored_before():
    sample, rng = bare_sample(_picture(20, 31)), np.random.default_rng(0)
    boxes = torch.tensor([[0.0, 0.0, 31.0, 10.0]])
    sample = replace(sample, boxes=boxes, labels=torch.tensor([1]))
    sample = RandomHorizontalFlip(1.0)(Resize([40], 100, "float", "floor")(sample, rng), rng)
    assert sample.size == (40, 62) and sample.boxes.tolist() == [[0, 0, 62, 20]]
    mirrored = np.ascontiguousarray(_picture(20, 31)[:, ::-1])
    wanted = batch_images([resize_image(mirrored, (40, 62), "float")], 32)
    assert torch.equal(batch_images([sample.batch_image], 32).tensor, wanted.tensor)


def test_spawned_workers_can_have_it():
    resize = pickle.loads(pickle.dumps(Resize([60], 100, "float", "floor")))
    assert (resize.interpolation, resize.rounding) == ("float", "floor")
