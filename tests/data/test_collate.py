import pickle

import numpy as np
import pytest
import torch

from pet.data.collate import TestCollate, TrainCollate, batch_images
from pet.data.sample import UnresizedImage
from pet.structures import ImageInfo, Targets


def test_padding_by_hand():
    images = [np.full((3, 5, 3), 1, np.uint8), np.full((4, 2, 3), 2, np.uint8)]
    images[0][0, 4] = (7, 8, 9)
    batch = batch_images(images, 4)
    assert batch.tensor.shape == (2, 3, 4, 8) and batch.tensor.dtype == torch.uint8
    assert batch.sizes == ((3, 5), (4, 2))
    assert batch.tensor[0, :, 0, 4].tolist() == [7, 8, 9]
    assert batch.tensor[0, 0].tolist() == [
        [1, 1, 1, 1, 7, 0, 0, 0],
        *[[1] * 5 + [0] * 3] * 2,
        [0] * 8,
    ]
    assert batch.tensor[1, 2].tolist() == [[2, 2] + [0] * 6] * 4
    assert batch.tensor.is_contiguous(memory_format=torch.channels_last)


def test_no_padding_where_none_is_needed():
    batch = batch_images([np.ones((32, 64, 3), np.uint8)], 32)
    assert batch.tensor.shape == (1, 3, 32, 64) and batch.tensor.all()


def test_float_images_keep_their_fractions():
    images = [np.full((2, 3, 3), 1.25, np.float32), np.full((4, 2, 3), 255, np.float32)]
    batch = batch_images(images, 4)
    assert batch.tensor.dtype == torch.float32
    assert batch.tensor[0, 1].tolist() == [[1.25] * 3 + [0]] * 2 + [[0] * 4] * 2
    assert batch.tensor[1, 2].tolist() == [[255, 255, 0, 0]] * 4
    assert batch.tensor.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_is_resized_here_or_on_the_device():
    image = np.zeros((2, 3, 3), np.uint8)
    later = batch_images([UnresizedImage(image, (5, 9)), UnresizedImage(image, (6, 4))], 4)
    assert later.sizes == ((5, 9), (6, 4)) and later.tensor.shape == (2, 3, 8, 12)
    with pytest.raises(AssertionError, match="all of a batch alike"):
        batch_images([image, UnresizedImage(image, (5, 9))], 4)


def _item(image_id):
    targets = Targets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), (2, 2), image_id)
    return np.zeros((2, 2, 3), np.uint8), targets, ImageInfo(image_id, 2, 2, "")


def test_order_is_kept():
    items = [_item(5), _item(3)]
    images, targets, infos = TrainCollate(2)(items)
    assert len(images) == 2
    assert [target.image_id for target in targets] == [info.image_id for info in infos] == [5, 3]
    images, infos = TestCollate(2)([(image, info) for image, _, info in items])
    assert len(images) == 2 and [info.image_id for info in infos] == [5, 3]


def test_spawned_workers_can_have_them():
    for collate in (TrainCollate(32), TestCollate(32)):
        assert pickle.loads(pickle.dumps(collate)) == collate
