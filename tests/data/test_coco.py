import contextlib
import logging
import re

import numpy as np
import pycocotools.mask as coco_mask
import pytest
import torch
from pycocotools.coco import COCO

from pet.data.datasets import CocoDataset
from pet.evaluation.ground_truth import ground_truth
from pet.structures import BitMask, Crop
from tests.data.small_coco import annotation, image, read_small, write_images


def test_labels_are_in_order_of_category_id(tmp_path):
    annotations = [annotation(1, 1, category_id=7), annotation(2, 1, category_id=3)]
    dataset = read_small(tmp_path, [image(1)], annotations)
    assert dataset.category_ids == (3, 7)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.num_classes == 3
    assert dataset.labels(0) == [2, 1]


def test_a_sample_by_hand(tmp_path):
    dataset = read_small(tmp_path, [image(1)], [annotation(1, 1)])
    sample = dataset.read(0)
    assert sample.size == (8, 12) and sample.image[5, 9].tolist() == [9, 5, 1]
    assert sample.boxes.tolist() == [[1, 1, 4, 4]] and sample.boxes.dtype == torch.float32
    assert sample.labels.tolist() == [1] and sample.labels.dtype == torch.int64
    crop = sample.masks[0].crop(sample.size)
    assert (crop.x, crop.y, crop.bits.tolist()) == (1, 1, [[1] * 3] * 3)
    assert sample.info.file == str(tmp_path / "images" / "1.png")
    assert (sample.info.image_id, sample.info.height, sample.info.width) == (1, 8, 12)


def test_without_masks(tmp_path):
    entry = annotation(1, 1)
    del entry["segmentation"]
    dataset = read_small(tmp_path, [image(1)], [entry], with_masks=False)
    sample = dataset.read(0)
    assert sample.masks is None and len(sample.boxes) == 1


def test_crowds_are_no_targets(tmp_path):
    crowd = annotation(1, 1, iscrowd=1, segmentation={"size": [8, 12], "counts": [0, 96]})
    dataset = read_small(tmp_path, [image(1)], [crowd, annotation(2, 1, category_id=7)])
    assert dataset.labels(0) == [2]
    assert dataset.dropped == {}


@pytest.mark.parametrize("is_train", [True, False])
@pytest.mark.parametrize(
    ("bbox", "reason"),
    [
        ([1, 1, 0, 3], "width or height is not positive"),
        ([1, 1, 3, -2], "width or height is not positive"),
        ([12, 1, 3, 3], "no box inside the image"),  # right of it
        ([-5, 1, 5, 3], "no box inside the image"),  # left of it
        ([1, float("nan"), 3, 3], "not four numbers"),
        ([1, 1, float("inf"), 3], "not four numbers"),
        ([1, 1, 3], "not four numbers"),
        ([1, 1, 3, 10**400], "not four numbers"),
        ([1, 1, 1e300, 3], "not four numbers"),
        (["x", 1, 3, 3], "not four numbers"),
        ([None, 1, 3, 3], "not four numbers"),
        ({"x": 1}, "not four numbers"),
        ([1, 1, 3, 3, 45], "a bbox of five numbers.*rotated boxes are not read"),
        (None, "no bbox"),
    ],
)
def test_degenerate_boxes_are_dropped_and_counted(tmp_path, caplog, bbox, reason, is_train):
    annotations = [annotation(1, 4), annotation(2, 4, bbox=bbox), annotation(3, 4, bbox=bbox)]
    with caplog.at_level(logging.WARNING, logger="pet"):
        dataset = read_small(tmp_path, [image(4)], annotations, is_train=is_train)
    (message,) = caplog.messages
    assert re.search(rf"small: 2 annotations of .*a\.json are left out, with .*{reason}", message)
    assert "image 4 (annotation 2), image 4 (annotation 3)" in message
    if is_train:
        assert dataset.labels(0) == [1]
        assert len(dataset.read(0).masks) == 1
        assert dataset.dropped == {4: 2}
    truth = ground_truth(dataset.annotations, "bbox", [4])
    assert [entry["bbox"] for entry in truth.anns.values()] == [[1, 1, 3, 3]]


def test_boxes_are_clipped(tmp_path):
    dataset = read_small(tmp_path, [image(1)], [annotation(1, 1, bbox=[-2, 5, 30, 30])])
    assert dataset.read(0).boxes.tolist() == [[0, 5, 12, 8]]


@pytest.mark.parametrize("is_train", [True, False])
@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([], "no segmentation"),
        (None, "no segmentation"),
        ("round", "neither polygons nor an RLE"),
        ([[1, 1, 4, 4]], "no polygon of three points"),
        ([[1, 1, 4, 4, 1]], "no polygon of three points"),
        ([[1, 1, 4, 1, 4, float("nan")]], "no polygon of three points"),
        ([[1, 1, 4, 1, 4, 1e999]], "no polygon of three points"),
        ([[1, 1, 4, 1, 4, None]], "no polygon of three points"),
        ([{"x": 1}], "no polygon of three points"),
        ([[1e18, 1e18, -1e18, 5, 3, 3]], "reaches far beyond the image"),
        ([[1e308, 1, -1e308, 5, 3, 3]], "no polygon|far beyond"),
        ([[1, 1, 1e9, 1, 4, 4]], "reaches far beyond the image"),
        ([[13, 1, 20, 1, 20, 5]], "polygons outside of the image"),
        ({"size": [8, 12], "counts": [5, 6]}, "do not add up"),  # not the whole image
        ({"size": [8, 12], "counts": [-5, 101]}, "do not add up"),
        ({"size": [8, 12], "counts": [2**62, 2**62, 2**62, 2**62, 96]}, "do not add up"),
        ({"size": [8, 12], "counts": [1, "x"]}, "no run-length code"),
        ({"size": [12, 8], "counts": [90, 6]}, r"another size than the image.*\[height, width\]"),
        ({"size": [8, 12, 1], "counts": [90, 6]}, "another size"),
        ({"size": "8 12", "counts": [90, 6]}, "another size"),
        ({"size": [8, 12], "counts": ""}, "no run-length code"),
        ({"size": [8, 12], "counts": "5"}, "do not add up"),
        ({"size": [8, 12], "counts": "ä~5"}, "no run-length code"),
        ({"size": [8, 12], "counts": "P"}, "no run-length code"),  # breaks off
        ({"size": [8, 12], "counts": 7}, "no run-length code"),
        ({"size": [8, 12], "counts": [96]}, "without any foreground"),
        ({"size": [8, 12]}, "no run-length code"),
    ],
)
def test_unusable_segmentations_are_dropped_with_masks_only(
    tmp_path, caplog, segmentation, reason, is_train
):
    annotations = [annotation(1, 1), annotation(2, 1, segmentation=segmentation)]
    dataset = read_small(tmp_path, [image(1)], annotations, is_train=is_train)
    scope = "" if is_train else " of the mask scores"
    assert re.search(rf"1 annotations of .* left out{scope}, with .*({reason})", caplog.text)
    assert "image 1 (annotation 2)" in caplog.text
    assert len(ground_truth(dataset.annotations, "segm", [1]).anns) == 1
    assert len(ground_truth(dataset.annotations, "bbox", [1]).anns) == 2
    if is_train:
        assert dataset.dropped == {1: 1} and dataset.labels(0) == [1]
        dataset = read_small(tmp_path, [image(1)], annotations, with_masks=False)
        assert dataset.dropped == {} and dataset.labels(0) == [1, 1]


def test_a_bad_polygon_beside_a_good_one(tmp_path):
    parts = [[0, 0, 1, 1], [1, 1, 4, 1, 4, 4, 1, 4]]
    dataset = read_small(tmp_path, [image(1)], [annotation(1, 1, segmentation=parts)])
    assert len(dataset.read(0).masks[0].polygons) == 1


def test_rle_lists_and_compressed_rle(tmp_path):
    full = np.zeros((8, 12), np.uint8, order="F")
    full[2:5, 3:9] = 1
    compressed = coco_mask.encode(full)
    compressed = {"size": [8, 12], "counts": compressed["counts"].decode()}
    runs = [3 * 8 + 2] + [3, 5] * 5 + [3, 2 * 8 + 11]
    counts = {"size": [8, 12], "counts": runs}
    annotations = [
        annotation(1, 1, segmentation=compressed),
        annotation(2, 1, segmentation=counts),
    ]
    for mask in read_small(tmp_path, [image(1)], annotations).read(0).masks:
        crop = mask.crop((8, 12))
        assert (crop.x, crop.y, crop.bits.shape) == (3, 2, (3, 6)) and crop.bits.all()


def test_empty_images_are_kept_or_filtered(tmp_path):
    images = [image(3), image(2), image(1)]
    annotations = [annotation(1, 2), annotation(2, 1, iscrowd=1)]
    dataset = read_small(tmp_path, images, annotations)
    assert dataset.image_ids == (1, 2, 3)
    sample = dataset.read(0)
    assert sample.boxes.shape == (0, 4) and sample.labels.shape == (0,) and sample.masks == ()
    dataset = read_small(tmp_path, images, annotations, filter_empty=True)
    assert dataset.image_ids == (2,)
    assert dataset.sizes.tolist() == [[8, 12]]


def test_max_images_takes_the_first_by_id_before_filtering(tmp_path):
    images = [image(3), image(2), image(1)]
    annotations = [annotation(1, 2), annotation(2, 3)]
    dataset = read_small(tmp_path, images, annotations, filter_empty=True, max_images=2)
    assert dataset.image_ids == (2,)
    dataset = read_small(tmp_path, images, annotations, is_train=False, max_images=2)
    assert dataset.image_ids == (1, 2)


def test_no_annotations_are_fine_for_testing_only(tmp_path):
    dataset = read_small(tmp_path, [image(1)], [], is_train=False, filter_empty=True)
    assert len(dataset) == 1
    with pytest.raises(ValueError, match=r"nothing to train on in .*: 1 images, 0 crowds, and no"):
        read_small(tmp_path, [image(1)], [])


def test_nothing_usable_says_why(tmp_path):
    annotations = [
        annotation(1, 1, iscrowd=1),
        annotation(2, 1, bbox=[0, 0, 0, 0]),
        annotation(3, 1, segmentation=[]),
    ]
    with pytest.raises(ValueError, match=r"1 crowds, 1 with a bbox whose width .*, 1 with no segm"):
        read_small(tmp_path, [image(1)], annotations)


def test_no_images(tmp_path):
    with pytest.raises(ValueError, match=r"'small': .* holds no images"):
        read_small(tmp_path, [], [], is_train=False)


def test_another_size_than_the_file_says(tmp_path):
    dataset = read_small(tmp_path, [image(8)], [annotation(1, 8)])
    dataset._folder = tmp_path / "other"
    write_images(tmp_path / "other", [image(8, width=8, height=12)])
    with pytest.raises(ValueError, match=r"image id 8: .*8 wide and 12 high, but .*12 and 8"):
        dataset.read(0)


def test_missing_picture(tmp_path):
    dataset = read_small(tmp_path, [image(8)], [annotation(1, 8)])
    (tmp_path / "images" / "8.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"'small', image id 8: .*8\.png"):
        dataset.read(0)


def _paste(crop: Crop, size: tuple[int, int]) -> np.ndarray:
    full = np.zeros(size, np.uint8)
    height, width = crop.bits.shape
    full[crop.y : crop.y + height, crop.x : crop.x + width] = crop.bits
    return full


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_real_masks_equal_those_of_pycocotools(coco_mini, split):
    path = coco_mini / "annotations" / f"instances_{split}.json"
    dataset = CocoDataset("mini", coco_mini / split, path, is_train=True, with_masks=True)
    with contextlib.redirect_stdout(None):
        peer = COCO(str(path))
    compared = 0
    for index, image_id in enumerate(dataset.image_ids):
        expected = peer.loadAnns(peer.getAnnIds(image_id, iscrowd=False))
        sample = dataset.read(index)
        assert [dataset.category_ids[label - 1] for label in sample.labels] == [
            entry["category_id"] for entry in expected
        ]
        for mask, entry in zip(sample.masks, expected, strict=True):
            full = _paste(mask.crop(sample.size), sample.size)
            assert np.array_equal(full, peer.annToMask(entry))
            compared += 1
    assert compared > 600


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_real_crowds_equal_those_of_pycocotools(coco_mini, split):
    with contextlib.redirect_stdout(None):
        peer = COCO(str(coco_mini / "annotations" / f"instances_{split}.json"))
    crowds = peer.loadAnns(peer.getAnnIds(iscrowd=True))
    assert crowds
    for entry in crowds:
        mask = BitMask.from_rle(entry["segmentation"])
        assert np.array_equal(_paste(mask.pixels, mask.size), peer.annToMask(entry))
