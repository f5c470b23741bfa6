"""The training transforms that TRAIN.TRANSFORMS names."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from pet.config import merge_cfg_from_list
from pet.data.build import build_dataset, make_test_data_loader, make_train_data_loader
from pet.data.datasets import shapes
from pet.data.registry import TRANSFORMS
from pet.data.sample import make_targets
from pet.data.transforms import RandomHorizontalFlip, Resize
from tests.own_file import imported

# Of the images, their sizes, labels and boxes in the first eight batches of the drawn shapes, as
# they were when the two transforms were fixed in the code of the loader.
DIGEST = "c88003d83f2024dba9454083a9edca5099f4129dcfcd57d22f2c7114c5558822"


@pytest.fixture
def shapes_cfg(tmp_path, fresh_cfg, monkeypatch):
    monkeypatch.setattr(shapes, "PICTURES", {"train": 6, "val": 5})
    shapes.draw_shapes(tmp_path)
    options = {
        "DATA_DIR": str(tmp_path),
        "MODEL.MASK_ON": True,
        "DEVICE": "cpu",
        "TRAIN.DATASETS": "shapes_train",
        "TRAIN.SCALES": "(64, 80, 96)",
        "TRAIN.MAX_SIZE": 120,
        "TRAIN.BATCH_SIZE": 2,
        "TRAIN.LOADER_THREADS": 0,
        "TEST.SCALE": 64,
        "TEST.LOADER_THREADS": 0,
        "SOLVER.MAX_ITER": 8,
    }
    merge_cfg_from_list([item for pair in options.items() for item in pair], fresh_cfg)
    return fresh_cfg


def batches(cfg):
    dataset = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)
    return dataset, list(make_train_data_loader(dataset, cfg=cfg))


@pytest.mark.parametrize("interpolation", ["opencv", "pil", "float"])
def test_the_default_gives_the_batches_of_old(shapes_cfg, interpolation):
    shapes_cfg.INPUT.INTERPOLATION = interpolation
    assert shapes_cfg.TRAIN.TRANSFORMS == ("resize", "random_horizontal_flip")
    digest = hashlib.sha256()
    for images, targets, infos in batches(shapes_cfg)[1]:
        for size, target, info in zip(images.sizes, targets, infos, strict=True):
            labels, boxes = target.labels.tolist(), target.boxes.tolist()
            digest.update(repr((info.image_id, size, target.size, labels, boxes)).encode())
    assert digest.hexdigest() == DIGEST


def test_pixels_and_masks_are_those_of_the_two_by_hand(shapes_cfg):
    """The digest leaves out what OpenCV may round otherwise on another machine."""
    dataset, found = batches(shapes_cfg)
    loader = make_train_data_loader(dataset, cfg=shapes_cfg)
    resize, flip = Resize((64, 80, 96), 120), RandomHorizontalFlip(0.5)
    mirrored = 0
    for (images, targets, _), keys in zip(found, loader.batch_sampler, strict=True):
        for place, (index, seed) in enumerate(keys):
            rng = np.random.default_rng(seed)
            resized = resize(dataset.read(index), rng)
            sample = flip(resized, rng)
            mirrored += sample is not resized
            height, width = sample.size
            pixels = images.tensor[place, :, :height, :width].permute(1, 2, 0)
            assert np.array_equal(pixels.numpy(), sample.image)
            wanted = make_targets(sample).masks
            assert np.array_equal(targets[place].masks.bits, wanted.bits)
            assert np.array_equal(targets[place].masks.origins, wanted.origins)
    assert 3 < mirrored < 13


@pytest.mark.parametrize(
    ("names", "sizes", "mirrored"),
    [
        ((), {None}, False),
        (("resize",), {64}, False),
        (("random_horizontal_flip",), {None}, True),
        (("random_horizontal_flip", "resize"), {64}, True),
        (("resize", "random_horizontal_flip", "random_horizontal_flip"), {64}, False),
    ],
)
def test_a_list_of_ones_own(shapes_cfg, names, sizes, mirrored):
    shapes_cfg.TRAIN.TRANSFORMS = names
    shapes_cfg.TRAIN.SCALES, shapes_cfg.TRAIN.MAX_SIZE = (64,), 1000
    shapes_cfg.TRAIN.FLIP_PROB = 1.0
    dataset, found = batches(shapes_cfg)
    for images, targets, infos in found:
        for size, target, info in zip(images.sizes, targets, infos, strict=True):
            index = dataset.image_ids.index(info.image_id)
            assert {min(size) if min(size) == 64 else None} == sizes
            ratio = size[1] / info.width
            boxes = dataset.read(index).boxes[:, [0, 2]]
            expected = (info.width - boxes.flip(1) if mirrored else boxes) * ratio
            torch.testing.assert_close(target.boxes[:, [0, 2]], expected)


def test_an_unknown_name_is_an_error_before_data_is_read(shapes_cfg):
    shapes_cfg.TRAIN.TRANSFORMS = ("resize", "random_horizontal_flop")
    shapes_cfg.DATA_DIR = "/nowhere"
    with pytest.raises(
        KeyError,
        match=r"no transform named 'random_horizontal_flop' \(TRAIN\.TRANSFORMS\); did you mean "
        r"'random_horizontal_flip'\? choose from color_jitter, .*random_vertical_flip, resize",
    ):
        build_dataset(("shapes_train",), is_train=True, cfg=shapes_cfg)


OWN = """
from dataclasses import replace

from pet.data.registry import TRANSFORMS


@TRANSFORMS.register("paint")
def paint(cfg, dataset):
    most = cfg.TRAIN.MAX_SIZE

    def transform(sample, rng):
        value = rng.integers(len(dataset)) + most
        return replace(sample, image=sample.image * 0 + value.astype("uint8"))

    return transform
"""


def test_a_transform_of_ones_own(shapes_cfg, tmp_path):
    (tmp_path / "paint_parts.py").write_text(OWN)
    with imported(tmp_path / "paint_parts.py"):
        words = "TRAIN.TRANSFORMS", "resize,paint,random_horizontal_flip"
        merge_cfg_from_list(words, shapes_cfg)
        values = set()
        for images, _, _ in batches(shapes_cfg)[1]:
            for place, (height, width) in enumerate(images.sizes):
                pixels = images.tensor[place, :, :height, :width]
                assert len(pixels.unique()) == 1
                values.add(int(pixels.unique()))
        # Of the six images, and a longest side of 120: what its chance and its builder were given.
        assert len(values) > 2 and values <= set(range(120, 126))
        # In testing there is none of it.
        testing = build_dataset("shapes_val", is_train=False, cfg=shapes_cfg)
        images, _ = next(iter(make_test_data_loader(testing, cfg=shapes_cfg)))
        assert len(images.tensor.unique()) > 10
    assert "paint" not in TRANSFORMS
    with pytest.raises(KeyError, match="no transform named 'paint'"):
        build_dataset("shapes_train", is_train=True, cfg=shapes_cfg)


def test_chance_comes_from_the_seed_of_the_image(shapes_cfg, monkeypatch):
    """One that draws nothing leaves what the others draw as it is."""

    def keep(cfg, dataset):
        return lambda sample, rng: replace(sample)

    monkeypatch.setattr(TRANSFORMS, "_parts", {**TRANSFORMS._parts, "keep": keep})
    plain = batches(shapes_cfg)[1]
    shapes_cfg.TRAIN.TRANSFORMS = ("keep", "resize", "keep", "random_horizontal_flip")
    for (images, _, _), (wanted, _, _) in zip(batches(shapes_cfg)[1], plain, strict=True):
        assert torch.equal(images.tensor, wanted.tensor)
