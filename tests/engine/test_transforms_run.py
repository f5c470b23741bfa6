"""Training with the transforms of training images, on a few drawn shapes."""

import json

import numpy as np
import pytest
import torch

from pet.data.build import build_dataset, make_train_data_loader
from pet.data.registry import TRANSFORMS
from pet.data.transforms.cut import select
from pet.engine.train import run_training
from tests.engine.test_keypoint_run import add_points
from tests.engine.tiny_run import tiny_cfg

MOVES = ("color_jitter", "random_crop", "random_rotate90", "random_vertical_flip")
WITH_JITTER = (*MOVES, "large_scale_jitter", "random_horizontal_flip")
SMALL = {"SOLVER__MAX_ITER": 2, "TRAIN__LARGE_SCALE_JITTER__SIZE": (96, 80)}


def last_losses(folder) -> dict[str, float]:
    return json.loads((folder / "run" / "metrics.jsonl").read_text().splitlines()[-1])


def without_objects(cfg, dataset):
    return lambda sample, rng: select(sample, torch.zeros(0, dtype=torch.int64))


def test_two_steps_with_all_of_them(folder):
    cfg = tiny_cfg(folder, TRAIN__TRANSFORMS=(*WITH_JITTER, "copy_paste"), **SMALL)
    run_training("tiny.yaml", cfg)
    last = last_losses(folder)
    assert np.isfinite(last["total_loss"]) and last["loss_mask"] > 0


def test_two_steps_with_keypoints(folder):
    """And with the pictures resized on the device, after all transforms."""
    add_points(folder / "data" / "shapes" / "annotations" / "instances_train.json")
    cfg = tiny_cfg(
        folder,
        TRAIN__TRANSFORMS=(*MOVES, "resize", "random_rotate90", "random_horizontal_flip"),
        INPUT__INTERPOLATION="float",
        MODEL__KEYPOINT_ON=True,
        KRCNN__NUM_CONVS=1,
        KRCNN__CONV_DIM=8,
        KRCNN__SIGMAS=(0.1, 0.1, 0.1),
        **SMALL,
    )
    run_training("tiny.yaml", cfg)
    assert np.isfinite(last_losses(folder)["loss_keypoint"])


def test_pictures_without_objects_are_trained_on(folder, monkeypatch):
    """As a crop by large_scale_jitter may leave them."""
    monkeypatch.setattr(TRANSFORMS, "_parts", {**TRANSFORMS._parts, "none": without_objects})
    add_points(folder / "data" / "shapes" / "annotations" / "instances_train.json")
    cfg = tiny_cfg(
        folder,
        TRAIN__TRANSFORMS=("large_scale_jitter", "none"),
        MODEL__KEYPOINT_ON=True,
        KRCNN__NUM_CONVS=1,
        KRCNN__CONV_DIM=8,
        KRCNN__SIGMAS=(0.1, 0.1, 0.1),
        **SMALL,
    )
    run_training("tiny.yaml", cfg)
    last = last_losses(folder)
    assert last["loss_mask"] == last["loss_keypoint"] == 0 < last["total_loss"]


def test_batches_are_whole_and_repeat(folder):
    """Also of pictures whose shape no longer is that by which they were grouped."""
    cfg = tiny_cfg(
        folder,
        TRAIN__TRANSFORMS=(*MOVES, "resize", "copy_paste"),
        SOLVER__MAX_ITER=6,
        TRAIN__LOADER_THREADS=2,
    )
    dataset = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)

    def batches():
        return list(make_train_data_loader(dataset, cfg=cfg))

    mixed = 0
    for (images, targets, infos), (again, *_) in zip(batches(), batches(), strict=True):
        assert torch.equal(images.tensor, again.tensor) and images.tensor.dtype == torch.uint8
        assert [target.size for target in targets] == list(images.sizes)
        assert len({info.width > info.height for info in infos}) == 1
        mixed += len({width > height for height, width in images.sizes}) > 1
    assert mixed


def test_a_frozen_config_tells_before_data_is_read(tmp_path):
    with pytest.raises(ValueError, match="takes the place of resize"):
        tiny_cfg(tmp_path / "nowhere", TRAIN__TRANSFORMS=("resize", "large_scale_jitter"))
    assert not (tmp_path / "nowhere").exists()


def test_large_scale_jitter_gives_one_size(folder):
    cfg = tiny_cfg(folder, TRAIN__TRANSFORMS=WITH_JITTER, **{**SMALL, "SOLVER__MAX_ITER": 6})
    dataset = build_dataset(cfg.TRAIN.DATASETS, is_train=True, cfg=cfg)
    for images, _, _ in make_train_data_loader(dataset, cfg=cfg):
        assert set(images.sizes) == {(96, 80)} and images.tensor.shape[2:] == (96, 96)
