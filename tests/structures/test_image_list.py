import dataclasses

import pytest
import torch

from pet.structures import ImageInfo, ImageList


def batch() -> ImageList:
    return ImageList(torch.zeros(2, 3, 32, 64, dtype=torch.uint8), ((30, 64), (32, 50)))


def test_a_batch_knows_its_length_and_sizes():
    images = batch()
    assert len(images) == 2
    assert images.sizes == ((30, 64), (32, 50))


def test_the_sizes_must_fit_the_tensor():
    with pytest.raises(AssertionError):
        ImageList(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), ((8, 8),))
    with pytest.raises(AssertionError):
        ImageList(torch.zeros(3, 8, 8, dtype=torch.uint8), ((8, 8),) * 3)


def test_moving_makes_a_new_batch():
    images = batch()
    moved = images.to("meta")
    assert moved.tensor.device.type == "meta"
    assert images.tensor.device.type == "cpu"
    assert moved.sizes == images.sizes


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_moving_keeps_the_type_and_the_memory_order(dtype):
    tensor = torch.zeros(2, 8, 8, 3, dtype=dtype).permute(0, 3, 1, 2)
    moved = ImageList(tensor, ((8, 8), (8, 8))).to("cpu")
    assert moved.tensor.dtype == dtype
    assert moved.tensor.is_contiguous(memory_format=torch.channels_last)


def test_fields_cannot_be_misspelled_or_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch().tensor = torch.zeros(1)
    with pytest.raises(TypeError):
        ImageInfo(image_id=1, height=2, width=3, path="a.jpg")
