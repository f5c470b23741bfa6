"""Torchvision's way of reading COCO gives the objects that Pet's does."""

import numpy as np
import pycocotools.mask as coco_mask
import pytest
import torch
from PIL import Image

from pet.config import merge_cfg_from_list
from pet.data.build import build_dataset
from tests.engine.tiny_run import draw_few_shapes
from tools.benchmark.peer_data import PeerCoco, PeerPictures, peer_records


@pytest.fixture
def shapes(fresh_cfg, tmp_path, monkeypatch):
    draw_few_shapes(monkeypatch, tmp_path)
    merge_cfg_from_list(["DATA_DIR", str(tmp_path), "MODEL.MASK_ON", True], fresh_cfg)
    return build_dataset("shapes_train", is_train=True, cfg=fresh_cfg)


def test_objects_are_those_of_the_data_set(shapes):
    sample = shapes.read(3)
    image, target = PeerCoco(shapes, flip_prob=0.0, with_masks=True)[3]
    torch.testing.assert_close(target["boxes"], sample.boxes)
    assert target["labels"].tolist() == sample.labels.tolist()
    assert target["masks"].shape == (len(sample.labels), *sample.size)
    for mask, own in zip(target["masks"].numpy(), sample.masks, strict=True):
        crop = own.crop(sample.size)
        full = np.zeros(sample.size, np.uint8)
        full[crop.y : crop.y + len(crop.bits), crop.x : crop.x + crop.bits.shape[1]] = crop.bits
        np.testing.assert_array_equal(mask, full)
    picture = np.array(Image.open(shapes.info(3).file))
    np.testing.assert_array_equal((image * 255).round().byte().permute(1, 2, 0), picture)


def test_a_flipped_image_has_flipped_objects(shapes):
    image, target = PeerCoco(shapes, flip_prob=0.0, with_masks=True)[0]
    mirrored, flipped = PeerCoco(shapes, flip_prob=1.0, with_masks=True)[0]
    assert torch.equal(mirrored, image.flip(-1))
    assert torch.equal(flipped["masks"], target["masks"].flip(-1))
    assert torch.equal(flipped["boxes"][:, 0], image.shape[-1] - target["boxes"][:, 2])


def test_pictures_alone(shapes):
    image, _ = PeerCoco(shapes, flip_prob=0.0, with_masks=True)[1]
    assert torch.equal(PeerPictures([shapes.info(1).file])[0], image)


def test_records():
    probs = torch.zeros(1, 1, 4, 5)
    probs[0, 0, 1:3, 2] = 0.9
    found = {
        "boxes": torch.tensor([[2.0, 1.0, 3.0, 3.0]]),
        "labels": torch.tensor([2]),
        "scores": torch.tensor([0.5]),
        "masks": probs,
    }
    records = peer_records(7, found, category_ids=[10, 20])
    shared = {"image_id": 7, "category_id": 20, "score": 0.5}
    assert records["bbox"] == [{**shared, "bbox": [2.0, 1.0, 1.0, 2.0]}]
    (segm,) = records["segm"]
    np.testing.assert_array_equal(coco_mask.decode(segm["segmentation"]), probs[0, 0] > 0.5)


def test_an_outline_as_rle(shapes):
    data = PeerCoco(shapes, flip_prob=0.0, with_masks=True)
    _, plain = data[0]
    height, width = plain["masks"].shape[1:]
    for annotation, mask in zip(data._annotations[0], plain["masks"], strict=True):
        # The lengths of the runs of 0, 1, 0, ..., down the columns.
        bits = np.concatenate([[0], mask.T.reshape(-1).numpy(), [0]])
        ends = np.append(np.flatnonzero(np.diff(bits)), height * width)
        counts = np.diff(ends, prepend=0).tolist()
        annotation["segmentation"] = {"counts": counts, "size": [height, width]}
    _, packed = data[0]
    assert torch.equal(packed["masks"], plain["masks"])


def test_no_masks_where_none_are_trained(shapes):
    for flip_prob in (0.0, 1.0):
        _, target = PeerCoco(shapes, flip_prob, with_masks=False)[0]
        assert set(target) == {"boxes", "labels"}
