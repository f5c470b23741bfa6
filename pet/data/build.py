"""From the config to data sets and loaders.

Of this package, only this module, the catalog and the builders of transforms read ``cfg``.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import data as torch_data

from pet.config import CfgNode, cfg
from pet.data.catalog import DatasetFiles, find_dataset
from pet.data.collate import TestBatch, TestCollate, TrainBatch, TrainCollate, batch_images
from pet.data.dataset import ChecksPictures, Dataset
from pet.data.datasets import ConcatDataset, KeypointOptions
from pet.data.image_file import ImageReader
from pet.data.items import TestItems, TrainItems
from pet.data.loader import Loader
from pet.data.registry import DATASET_TYPES, TRANSFORMS
from pet.data.sample import bare_sample
from pet.data.samplers import (
    Order,
    RepeatFactorOrder,
    ShuffledOrder,
    TestBatchSampler,
    TrainBatchSampler,
    repeat_factors,
)
from pet.data.transforms import Transform
from pet.data.transforms.resize import build_resize
from pet.structures import ImageList
from pet.structures.class_names import UNUSED_CLASS
from pet.utils import comm
from pet.utils.env import cpu_count, resolve_device
from pet.utils.opencv import cv2
from pet.utils.seed import mix_seeds

TrainLoader = torch_data.DataLoader[TrainBatch]
TestLoader = torch_data.DataLoader[TestBatch]

# Independent streams of random numbers drawn from SEED.
_ORDER_STREAM, _SAMPLE_STREAM = 0, 1


def build_image_reader(cfg: CfgNode = cfg) -> ImageReader:
    """Return the reader of image files with the settings of ``INPUT``."""
    most = cfg.INPUT.MAX_PIXELS or sys.maxsize
    return ImageReader(cfg.INPUT.ORIENTATION, most, cfg.INPUT.BIT_DEPTH)


def build_dataset(
    names: str | Sequence[str], is_train: bool, cfg: CfgNode = cfg, check_pictures: bool = True
) -> Dataset:
    """Return the data set of ``names``; in training, several are joined.

    Without ``check_pictures`` no picture is looked at, and a missing one is no error.
    Raises KeyError (unknown name; in training also of a transform), FileNotFoundError (missing
    files) or ValueError (no name, several for testing, unusable annotations, classes that differ).
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    key = "TRAIN.DATASETS" if is_train else "TEST.DATASETS"
    if not names:
        raise ValueError(f"{key} is empty; name one or more data sets, such as shapes_train")
    if len(names) > 1 and not is_train:
        raise ValueError(f"data sets are tested one at a time; got {', '.join(names)}")
    if is_train:
        for transform in cfg.TRAIN.TRANSFORMS:
            TRANSFORMS[transform]  # raises for an unknown one before the data is read
    parts = [_read_dataset(name, is_train, cfg, check_pictures) for name in names]
    return parts[0] if len(parts) == 1 else ConcatDataset(parts)


def _read_dataset(name: str, is_train: bool, cfg: CfgNode, check_pictures: bool) -> Dataset:
    files = find_dataset(name, cfg)
    keypoints = None
    if cfg.MODEL.KEYPOINT_ON:
        keypoints = KeypointOptions(cfg.KRCNN.PIXEL_SHIFT, cfg.KRCNN.MIN_KEYPOINTS_PER_IMAGE)
    make = DATASET_TYPES[files.type]
    dataset = make(
        name,
        files.images,
        files.annotations,
        is_train=is_train,
        with_masks=cfg.MODEL.MASK_ON,
        filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS,
        max_images=files.max_images,
        class_labels=cfg.MODEL.CLASS_LABELS,
        keypoints=keypoints,
        **_taken(
            make,
            reader=build_image_reader(cfg),
            cache=cache_folder(cfg),
            classes=files.classes,
        ),
    )
    _check_classes(dataset, files)
    if check_pictures and isinstance(dataset, ChecksPictures):
        dataset.check_pictures()
    return dataset


def _check_classes(dataset: Dataset, files: DatasetFiles) -> None:
    """Raise ValueError if the type of a data set ignores its ``CLASSES``."""
    found = tuple(dataset.class_names)
    if files.classes and found != files.classes:
        raise ValueError(
            f"DATASETS.{files.name}.CLASSES is {files.classes}, but the type {files.type!r} gives "
            f"the classes {found}; it must take the option classes and keep to it, or CLASSES be "
            "left out"
        )


def cache_folder(cfg: CfgNode = cfg) -> Path | None:
    """Return the folder that caches large annotation files, or None if ``CKPT`` is empty."""
    return Path(cfg.CKPT, "cache") if cfg.CKPT else None


def _taken(make: Callable[..., Dataset], **options: Any) -> dict[str, Any]:
    """Return the ``options`` that ``make`` accepts; a user's type may not take all."""
    parameters = inspect.signature(make).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return options
    return {key: value for key, value in options.items() if key in parameters}


def resolve_num_classes(dataset: Dataset, cfg: CfgNode = cfg) -> int:
    """Return the number of labels, with the background, that a model for ``dataset`` needs.

    Raises ValueError if ``MODEL.NUM_CLASSES`` differs from that of the data set.
    """
    if cfg.MODEL.NUM_CLASSES not in (-1, dataset.num_classes):
        raise ValueError(
            f"MODEL.NUM_CLASSES is {cfg.MODEL.NUM_CLASSES}, but data set {dataset.name!r} has "
            f"{_describe_labels(dataset, cfg)}; "
            f"give {dataset.num_classes}, or -1 to take it from the data set"
            f"{_hint_at_class_labels(dataset, cfg)}"
        )
    return dataset.num_classes


def resolve_num_keypoints(dataset: Dataset, cfg: CfgNode = cfg) -> int:
    """Return the number of points that a model for ``dataset``, read with keypoints, needs.

    Raises ValueError if ``KRCNN.NUM_KEYPOINTS`` differs from that of the data set.
    """
    layout = dataset.keypoint_layout
    assert layout is not None, "the data set was read without keypoints"
    if cfg.KRCNN.NUM_KEYPOINTS not in (-1, len(layout)):
        raise ValueError(
            f"KRCNN.NUM_KEYPOINTS is {cfg.KRCNN.NUM_KEYPOINTS}, but data set {dataset.name!r} has "
            f"{len(layout)} keypoints, {', '.join(layout.names)}; give {len(layout)}, or -1 to "
            "take it from the data set"
        )
    return len(layout)


def _describe_labels(dataset: Dataset, cfg: CfgNode) -> str:
    what = "classes"
    if cfg.MODEL.CLASS_LABELS == "category_id":
        what = "labels, its highest category id (MODEL.CLASS_LABELS category_id)"
    return f"{dataset.num_classes - 1} {what}, {dataset.num_classes} with the background"


def _hint_at_class_labels(dataset: Dataset, cfg: CfgNode) -> str:
    """Return a hint if the other ``MODEL.CLASS_LABELS`` gives ``MODEL.NUM_CLASSES``, or ""."""
    if cfg.MODEL.CLASS_LABELS == "contiguous":
        labels = max(dataset.category_ids, default=0)
        remedy = "category ids, as torchvision's are, give MODEL.CLASS_LABELS category_id"
    else:
        labels = sum(name != UNUSED_CLASS for name in dataset.class_names)
        remedy = "numbered without gaps, give MODEL.CLASS_LABELS contiguous"
    fits = labels == cfg.MODEL.NUM_CLASSES - 1
    return f"; if the labels of the model are {remedy}" if fits else ""


def make_train_data_loader(
    datasets: Dataset, is_distributed: bool = False, start_iter: int = 0, cfg: CfgNode = cfg
) -> TrainLoader:
    """Return the loader of this process: one batch for each iteration from ``start_iter`` on.

    A batch is (images, targets, infos). It depends only on ``SEED``, the iteration, the rank and
    the number of processes. Raises ValueError if the processes do not divide ``TRAIN.BATCH_SIZE``,
    or if images are mirrored and a keypoint has no partner on the other side.
    """
    rank, world_size = (comm.get_rank(), comm.get_world_size()) if is_distributed else (0, 1)
    if cfg.TRAIN.BATCH_SIZE % world_size:
        raise ValueError(
            f"TRAIN.BATCH_SIZE {cfg.TRAIN.BATCH_SIZE} is the batch of all processes together, and "
            f"does not divide by the {world_size} of them; give a multiple of {world_size}"
        )
    sampler = TrainBatchSampler(
        _make_order(datasets, cfg),
        _aspect_groups(datasets, cfg),
        batch_size=cfg.TRAIN.BATCH_SIZE // world_size,
        max_iter=cfg.SOLVER.MAX_ITER,
        seed=mix_seeds(cfg.SEED, _SAMPLE_STREAM),
        start_iter=start_iter,
        rank=rank,
        world_size=world_size,
    )
    return _make_loader(
        TrainItems(datasets, [TRANSFORMS[name](cfg, datasets) for name in cfg.TRAIN.TRANSFORMS]),
        sampler,
        TrainCollate(cfg.INPUT.SIZE_DIVISIBILITY),
        cfg.TRAIN.LOADER_THREADS,
        cfg,
    )


def make_test_data_loader(
    dataset: Dataset, rank: int | None = None, world_size: int | None = None, cfg: CfgNode = cfg
) -> TestLoader:
    """Return the loader of this process's share of ``dataset``; a batch is (images, infos).

    ``rank`` and ``world_size`` default to those of the process group.
    """
    sampler = TestBatchSampler(
        _aspect_groups(dataset, cfg),
        cfg.TEST.IMS_PER_GPU,
        comm.get_rank() if rank is None else rank,
        comm.get_world_size() if world_size is None else world_size,
    )
    return _make_loader(
        TestItems(dataset, _test_transforms(cfg)),
        sampler,
        TestCollate(cfg.INPUT.SIZE_DIVISIBILITY),
        cfg.TEST.LOADER_THREADS,
        cfg,
    )


def make_test_batch(
    images: Sequence[np.ndarray], cfg: CfgNode = cfg, size: tuple[int, int] | None = None
) -> ImageList:
    """Return ``images``, each (height, width, 3) uint8 BGR, resized as by the test loader.

    ``size`` is (length of the shorter side, limit of the longer side), by default as in ``TEST``.
    """
    rng = np.random.default_rng(0)
    transforms = _test_transforms(cfg)
    if size is not None:
        transforms = (build_resize((size[0],), size[1], cfg),)
    resized = []
    for image in images:
        sample = bare_sample(image)
        for transform in transforms:
            sample = transform(sample, rng)
        resized.append(sample.batch_image)
    return batch_images(resized, cfg.INPUT.SIZE_DIVISIBILITY)


def _test_transforms(cfg: CfgNode) -> tuple[Transform, ...]:
    test = cfg.TEST
    if test.BBOX_AUG.ENABLED or test.MASK_AUG.ENABLED or test.KPS_AUG.ENABLED:
        return ()  # each view of an image is resized on its own
    return (build_resize((cfg.TEST.SCALE,), cfg.TEST.MAX_SIZE, cfg),)


def _make_order(dataset: Dataset, cfg: CfgNode) -> Order:
    seed = mix_seeds(cfg.SEED, _ORDER_STREAM)
    if cfg.DATALOADER.SAMPLER_TRAIN == "RepeatFactorTrainingSampler":
        labels = [dataset.labels(index) for index in range(len(dataset))]
        return RepeatFactorOrder(repeat_factors(labels, cfg.DATALOADER.REPEAT_THRESHOLD), seed)
    return ShuffledOrder(len(dataset), seed)


def _aspect_groups(dataset: Dataset, cfg: CfgNode) -> np.ndarray:
    """Return the group (images,) int64: 1 for wide images, else 0; or 0 for all."""
    heights, widths = dataset.sizes.T
    wide = (widths > heights).astype(np.int64)
    return wide if cfg.DATALOADER.ASPECT_RATIO_GROUPING else np.zeros_like(wide)


def _make_loader(
    items: TrainItems | TestItems,
    sampler: TrainBatchSampler | TestBatchSampler,
    collate: TrainCollate | TestCollate,
    workers: int,
    cfg: CfgNode,
) -> torch_data.DataLoader:
    workers = min(workers, cpu_count())
    return Loader(
        items,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        pin_memory=resolve_device(cfg.DEVICE).type == "cuda",
        worker_init_fn=_init_worker,
        # A separate generator, so that making a loader does not change the global random state.
        generator=torch.Generator().manual_seed(cfg.SEED),
    )


def _init_worker(_: int) -> None:
    """Limit a worker to one thread, as the workers already run in parallel."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
