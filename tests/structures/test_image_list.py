import dataclasses
import pickle

import pytest
import torch

from pet.structures import ImageInfo, ImageList, UnresizedImages


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


# Resized on the device ---------------------------------------------------------------------------

STORED = (torch.arange(24, dtype=torch.uint8).reshape(2, 4, 3), torch.full((3, 1, 3), 9).byte())


def unresized() -> UnresizedImages:
    return UnresizedImages(STORED, ((2, 2), (3, 1)), (4, 8))


def test_images_are_resized_and_padded_when_they_are_asked_for():
    images = unresized()
    assert len(images) == 2 and images.sizes == ((2, 2), (3, 1))
    assert "tensor" not in vars(images)
    assert images.tensor.shape == (2, 3, 4, 8) and images.tensor.dtype == torch.float32
    assert images.tensor.is_contiguous(memory_format=torch.channels_last)
    # Each is the mean of two: in the first row of channel 0 of 0 and 3, and of 6 and 9.
    assert images.tensor[0, 0].tolist() == [
        [1.5, 7.5, 0, 0, 0, 0, 0, 0],
        [13.5, 19.5, 0, 0, 0, 0, 0, 0],
        *[[0] * 8] * 2,
    ]
    assert images.tensor[1, 2].tolist() == [[9] + [0] * 7] * 3 + [[0] * 8]
    assert images.tensor is images.tensor


def test_unresized_images_travel_as_they_are_stored():
    images = unresized()
    for moved in (images.to("cpu"), pickle.loads(pickle.dumps(images))):
        assert isinstance(moved, UnresizedImages) and "tensor" not in vars(moved)
        assert moved.sizes == images.sizes
        assert torch.equal(moved.tensor, images.tensor)
    assert unresized().to("meta").tensor.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_unresized_images_may_be_pinned():
    pinned = unresized().pin_memory()
    assert all(image.is_pinned() for image in pinned.stored)
    moved = pinned.to("cuda", non_blocking=True)
    torch.testing.assert_close(moved.tensor.cpu(), unresized().tensor)
