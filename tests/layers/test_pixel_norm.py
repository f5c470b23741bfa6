import numpy as np
import pytest
import torch

from pet.data.collate import batch_images
from pet.layers.pixel_norm import PixelNorm
from pet.structures import ImageList

MEAN, STD = (10.0, 20.0, 30.0), (2.0, 4.0, 5.0)


def image(height: int, width: int, blue: int, green: int, red: int) -> np.ndarray:
    return np.full((height, width, 3), (blue, green, red), np.uint8)


@pytest.mark.parametrize(
    ("order", "channels"),
    [
        ("RGB", [(200 - 10) / 2, (100 - 20) / 4, (50 - 30) / 5]),
        ("BGR", [(50 - 10) / 2, (100 - 20) / 4, (200 - 30) / 5]),
    ],
)
def test_channels_by_hand(order, channels):
    images = batch_images([image(4, 4, 50, 100, 200)], 4)
    x = PixelNorm(order, MEAN, STD)(images)
    assert x.dtype == torch.float32
    assert x[0, :, 2, 3].tolist() == channels


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_it_is_the_norm_of_images_in_0_to_1(order, dtype):
    picture = (255 * np.random.default_rng(0).random((5, 7, 3))).astype(dtype)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = PixelNorm(order, (255 * mean).tolist(), (255 * std).tolist())(batch_images([picture], 8))
    channels = picture[:, :, ::-1] if order == "RGB" else picture
    expected = torch.from_numpy((channels / 255.0 - mean) / std).permute(2, 0, 1)
    assert x.dtype == torch.float32
    torch.testing.assert_close(x[0, :, :5, :7].double(), expected, rtol=1e-6, atol=1e-6)
    assert not x[0, :, 5:].any() and not x[0, :, :, 7:].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_padding_is_zero_behind_the_norm(dtype):
    pictures = [image(3, 6, 50, 100, 200), image(5, 4, 0, 0, 0)]
    images = batch_images([picture.astype(dtype) for picture in pictures], 8)
    x = PixelNorm("RGB", MEAN, STD)(images)
    assert x.shape == (2, 3, 8, 8)
    first, second = (x != 0).any(dim=1)
    assert first[:3, :6].all() and first.sum() == 3 * 6
    assert second[:5, :4].all() and second.sum() == 5 * 4  # a black pixel is not 0


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_result_is_channels_last_and_the_images_unchanged(order, dtype):
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(dtype)
    channels_last = batch_images([picture], 8)
    contiguous = ImageList(channels_last.tensor.contiguous(), channels_last.sizes)
    norm = PixelNorm(order, MEAN, STD)
    results = [norm(images) for images in (channels_last, contiguous)]
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in results)
    assert torch.equal(*results)
    assert np.array_equal(channels_last.tensor[0, :, :5, :7].permute(1, 2, 0).numpy(), picture)


def test_whole_numbers_in_the_config_do_not_make_whole_numbers_of_pixels():
    x = PixelNorm("BGR", (0, 0, 0), (4, 4, 4))(batch_images([image(2, 2, 1, 2, 3)], 2))
    assert x.dtype == torch.float32
    assert x[0, :, 0, 0].tolist() == [0.25, 0.5, 0.75]


def test_the_config_states_mean_and_deviation_not_the_checkpoint():
    norm = PixelNorm("RGB", MEAN, STD)
    assert norm.state_dict() == {}
    assert norm.to("meta").mean.device.type == "meta"
