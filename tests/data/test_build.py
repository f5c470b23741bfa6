import gc
import json
import logging

import numpy as np
import pytest
import torch

from pet.config import merge_cfg_from_list
from pet.data.build import (
    build_dataset,
    make_test_data_loader,
    make_train_data_loader,
    resolve_num_classes,
)
from pet.data.datasets import CocoDataset, ConcatDataset
from pet.data.image_file import read_image
from pet.data.transforms import resize_image
from pet.utils import comm
from tests.data.small_coco import annotation, image, write_annotations, write_images

workers_may_outnumber_cores = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@pytest.fixture
def small_cfg(tmp_path, fresh_cfg):
    """Return a config with the data set ``small``: 6 wide and 3 upright images, 1 of them empty."""
    images = [image(n, *((12, 8) if n % 3 else (8, 12))) for n in range(1, 10)]
    images[0].update(width=16)
    write_images(tmp_path / "images", images)
    entries = [annotation(n, n, bbox=[1, 1, 3, 3]) for n in range(1, 9)]
    write_annotations(tmp_path / "a.json", images, entries)
    options = {
        "DATASETS.small.IMAGES": str(tmp_path / "images"),
        "DATASETS.small.ANNOTATIONS": str(tmp_path / "a.json"),
        "MODEL.MASK_ON": True,
        "DEVICE": "cpu",
        "TRAIN.SCALES": "(16, 24)",
        "TRAIN.BATCH_SIZE": 2,
        "TRAIN.LOADER_THREADS": 0,
        "TEST.SCALE": 16,
        "TEST.IMS_PER_GPU": 2,
        "TEST.LOADER_THREADS": 0,
        "SOLVER.MAX_ITER": 6,
    }
    merge_cfg_from_list([part for pair in options.items() for part in pair], fresh_cfg)
    return fresh_cfg


def _flat(batch):
    """Return everything in a training batch as plain values."""
    images, targets, infos = batch
    return (
        images.tensor.tolist(),
        images.sizes,
        [(t.boxes.tolist(), t.labels.tolist(), t.size, t.image_id) for t in targets],
        [(t.masks.bits.tolist(), t.masks.origins.tolist()) for t in targets],
        infos,
    )


def _train_batches(cfg, **options):
    dataset = build_dataset("small", is_train=True, cfg=cfg)
    return [_flat(batch) for batch in make_train_data_loader(dataset, cfg=cfg, **options)]


def test_names(small_cfg):
    assert isinstance(build_dataset("small", is_train=True, cfg=small_cfg), CocoDataset)
    assert len(build_dataset(["small"], is_train=True, cfg=small_cfg)) == 8
    assert len(build_dataset(("small",), is_train=False, cfg=small_cfg)) == 9
    small_cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    assert len(build_dataset("small", is_train=True, cfg=small_cfg)) == 9
    joined = build_dataset(("small", "small"), is_train=True, cfg=small_cfg)
    assert isinstance(joined, ConcatDataset) and len(joined) == 18


@pytest.mark.parametrize(
    ("names", "is_train", "message"),
    [
        ((), True, "TRAIN.DATASETS is empty"),
        ((), False, "TEST.DATASETS is empty"),
        (("small", "small"), False, "one at a time"),
    ],
)
def test_wrong_names(small_cfg, names, is_train, message):
    with pytest.raises(ValueError, match=message):
        build_dataset(names, is_train=is_train, cfg=small_cfg)


def test_max_images(small_cfg):
    small_cfg.DATASETS.small.MAX_IMAGES = 4
    for is_train in (True, False):
        dataset = build_dataset("small", is_train=is_train, cfg=small_cfg)
        assert dataset.image_ids == (1, 2, 3, 4)


def test_number_of_classes(small_cfg):
    dataset = build_dataset("small", is_train=True, cfg=small_cfg)
    assert resolve_num_classes(dataset, small_cfg) == 3
    small_cfg.MODEL.NUM_CLASSES = 3
    assert resolve_num_classes(dataset, small_cfg) == 3
    small_cfg.MODEL.NUM_CLASSES = 81
    with pytest.raises(ValueError, match=r"NUM_CLASSES is 81, but .*'small' has 2 classes, 3 with"):
        resolve_num_classes(dataset, small_cfg)


def test_labels_that_are_category_ids(small_cfg):
    small_cfg.MODEL.CLASS_LABELS = "category_id"
    dataset = build_dataset("small", is_train=True, cfg=small_cfg)
    assert dataset.category_ids == (1, 2, 3, 4, 5, 6, 7)
    assert resolve_num_classes(dataset, small_cfg) == 8
    for _, targets, _ in make_train_data_loader(dataset, cfg=small_cfg):
        assert all(target.labels.tolist() == [3] for target in targets)
    assert build_dataset("small", is_train=False, cfg=small_cfg).num_classes == 8
    joined = build_dataset(("small", "small"), is_train=True, cfg=small_cfg)
    assert resolve_num_classes(joined, small_cfg) == 8


@pytest.mark.parametrize(
    ("labels", "count", "message"),
    [
        ("contiguous", 8, r"2 classes, 3 with .*category ids, .*CLASS_LABELS category_id"),
        ("category_id", 3, r"7 labels, .* 8 with .*without gaps, give MODEL.CLASS_LABELS cont"),
        ("contiguous", 9, r"2 classes, 3 with the background; .* from the data set$"),
        ("category_id", 9, r"7 labels, its highest .* from the data set$"),
    ],
)
def test_the_other_labels_are_named_where_they_fit(small_cfg, labels, count, message):
    small_cfg.MODEL.CLASS_LABELS, small_cfg.MODEL.NUM_CLASSES = labels, count
    dataset = build_dataset("small", is_train=False, cfg=small_cfg)
    with pytest.raises(ValueError, match=f"NUM_CLASSES is {count}, but .*'small' has {message}"):
        resolve_num_classes(dataset, small_cfg)


def test_training_batches(small_cfg):
    dataset = build_dataset("small", is_train=True, cfg=small_cfg)
    loader = make_train_data_loader(dataset, cfg=small_cfg)
    assert len(loader) == 6
    sizes = set()
    for images, targets, infos in loader:
        assert images.tensor.dtype == torch.uint8 and images.tensor.shape[0] == 2
        assert images.tensor.shape[2] % 32 == images.tensor.shape[3] % 32 == 0
        assert images.tensor.is_contiguous(memory_format=torch.channels_last)
        upright = {size[0] > size[1] for size in images.sizes}
        assert len(upright) == 1
        for size, target, info in zip(images.sizes, targets, infos, strict=True):
            assert target.size == size and target.image_id == info.image_id
            ratio = size[0] / info.height
            assert ratio in (2, 3)
            sizes.add(size)
            x = 1 if target.boxes[0, 0] == ratio else info.width - 4  # mirrored or not
            expected = [x * ratio, ratio, (x + 3) * ratio, 4 * ratio]
            assert target.boxes.tolist() == [expected]
            crop = target.masks.unpack(0)
            assert (crop.x, crop.y) == tuple(expected[:2]) and crop.bits.all()
            assert crop.bits.shape == (3 * ratio, 3 * ratio)
    assert len(sizes) > 2


def test_a_resumed_run_gets_the_same_batches(small_cfg):
    whole = _train_batches(small_cfg)
    assert _train_batches(small_cfg) == whole
    assert _train_batches(small_cfg, start_iter=4) == whole[4:]
    assert _train_batches(small_cfg, start_iter=6) == []
    small_cfg.SEED = 1
    assert _train_batches(small_cfg) != whole


@workers_may_outnumber_cores
@pytest.mark.parametrize("interpolation", ["opencv", "float"])
def test_the_number_of_workers_changes_nothing(small_cfg, interpolation):
    small_cfg.INPUT.INTERPOLATION = interpolation
    small_cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS = False
    alone = _train_batches(small_cfg)
    for workers in (1, 2):
        small_cfg.TRAIN.LOADER_THREADS = workers
        assert _train_batches(small_cfg) == alone


@workers_may_outnumber_cores
def test_spawned_workers(small_cfg):
    alone = _train_batches(small_cfg)
    small_cfg.TRAIN.LOADER_THREADS = 1
    dataset = build_dataset("small", is_train=True, cfg=small_cfg)
    loader = make_train_data_loader(dataset, cfg=small_cfg)
    loader.multiprocessing_context = "spawn"
    assert [_flat(batch) for batch in loader] == alone


@workers_may_outnumber_cores
def test_batches_outlive_the_loader_and_the_next_one(small_cfg):
    alone = _train_batches(small_cfg)
    small_cfg.TRAIN.LOADER_THREADS = 1
    dataset = build_dataset("small", is_train=True, cfg=small_cfg)
    loader = make_train_data_loader(dataset, cfg=small_cfg)
    whole = list(loader)
    batches = iter(loader)
    begun = [next(batches), next(batches)]
    again = list(loader)  # the same processes, which are told to begin anew
    assert [_flat(batch) for batch in whole] == [_flat(batch) for batch in again] == alone
    batches = iter(make_train_data_loader(dataset, cfg=small_cfg))  # nobody holds the loader
    gc.collect()
    assert [_flat(batch) for batch in batches] == alone
    assert [_flat(batch) for batch in begun] == alone[:2]


def test_a_loader_leaves_the_global_random_state_alone(small_cfg):
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    _train_batches(small_cfg)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


def test_ranks_share_the_batch(small_cfg, monkeypatch):
    small_cfg.TRAIN.BATCH_SIZE = 1
    small_cfg.SOLVER.MAX_ITER = 12
    alone = _train_batches(small_cfg)
    small_cfg.TRAIN.BATCH_SIZE = 2
    small_cfg.SOLVER.MAX_ITER = 6
    monkeypatch.setattr(comm, "get_world_size", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setattr(comm, "get_rank", lambda rank=rank: rank)
        assert _train_batches(small_cfg, is_distributed=True) == alone[rank::2]


def test_the_batch_must_divide(small_cfg, monkeypatch):
    monkeypatch.setattr(comm, "get_world_size", lambda: 3)
    with pytest.raises(ValueError, match=r"TRAIN\.BATCH_SIZE 2 .* by the 3 of them"):
        _train_batches(small_cfg, is_distributed=True)


def test_the_repeat_factor_sampler(small_cfg, tmp_path):
    images = [image(n) for n in range(1, 10)]
    entries = [annotation(n, n) for n in range(1, 10)] + [annotation(10, 5, category_id=7)]
    write_annotations(tmp_path / "a.json", images, entries)
    write_images(tmp_path / "images", images)
    small_cfg.DATALOADER.SAMPLER_TRAIN = "RepeatFactorTrainingSampler"
    small_cfg.DATALOADER.REPEAT_THRESHOLD = 1.0  # the rare class: sqrt(1 / (1/9)) = 3 times
    small_cfg.SOLVER.MAX_ITER = 55
    seen = [info.image_id for batch in _train_batches(small_cfg) for info in batch[-1]]
    assert np.bincount(seen)[1:].tolist() == [10, 10, 10, 10, 30, 10, 10, 10, 10]


def test_test_batches_do_not_depend_on_the_number_of_processes(small_cfg):
    dataset = build_dataset("small", is_train=False, cfg=small_cfg)
    batches = {}
    for world_size in (1, 2, 4):
        for rank in range(world_size):
            loader = make_test_data_loader(dataset, rank, world_size, cfg=small_cfg)
            for images, infos in loader:
                ids = tuple(info.image_id for info in infos)
                expected = batches.setdefault(ids, images.tensor)
                assert torch.equal(expected, images.tensor)
    assert sorted(batches) == [(1, 2), (3, 6), (4, 5), (7, 8), (9,)]


def test_test_images_at_the_test_scale(small_cfg):
    dataset = build_dataset("small", is_train=False, cfg=small_cfg)
    images, infos = next(iter(make_test_data_loader(dataset, cfg=small_cfg)))
    assert images.sizes == ((16, 32), (16, 24))
    assert (infos[0].height, infos[0].width) == (8, 16)


@pytest.mark.parametrize(
    ("interpolation", "rounding", "width"), [("pil", "half_up", 23), ("float", "floor", 22)]
)
def test_the_config_says_how_images_are_resized(small_cfg, interpolation, rounding, width):
    small_cfg.INPUT.INTERPOLATION, small_cfg.INPUT.RESIZE_ROUNDING = interpolation, rounding
    small_cfg.TRAIN.SCALES, small_cfg.TEST.SCALE = (15,), 15  # 12 * 15 / 8 is 22.5
    small_cfg.TRAIN.FLIP_PROB = 0.0
    training = build_dataset("small", is_train=True, cfg=small_cfg)
    testing = build_dataset("small", is_train=False, cfg=small_cfg)
    batches = [
        *make_train_data_loader(training, cfg=small_cfg),
        *make_test_data_loader(testing, cfg=small_cfg),
    ]
    seen = 0
    for images, *_, infos in batches:
        assert ("tensor" in vars(images)) == (interpolation == "pil")  # else not resized yet
        assert images.tensor.dtype == (torch.uint8 if interpolation == "pil" else torch.float32)
        for pixels, size, info in zip(images.tensor, images.sizes, infos, strict=True):
            if (info.height, info.width) != (8, 12):
                continue
            stored = read_image(info.file)
            expected = resize_image(stored, (15, width), interpolation)
            assert size == (15, width)
            assert np.array_equal(pixels[:, :15, :width].permute(1, 2, 0).numpy(), expected)
            seen += 1
    assert seen > 5


def test_more_processes_than_batches(small_cfg):
    dataset = build_dataset("small", is_train=False, cfg=small_cfg)
    assert list(make_test_data_loader(dataset, 7, 8, cfg=small_cfg)) == []


@workers_may_outnumber_cores
@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_is_named(small_cfg, tmp_path, workers):
    small_cfg.TRAIN.LOADER_THREADS = workers
    path = tmp_path / "images" / "4.png"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"'small', image id 4: .*4\.png is cut off"):
        _train_batches(small_cfg)


@workers_may_outnumber_cores
@pytest.mark.parametrize("is_train", [True, False])
def test_a_missing_picture_is_named_at_once(small_cfg, tmp_path, is_train):
    (tmp_path / "images" / "4.png").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"1 of \d pictures that .*a\.json names .*: 4\.png \(image id 4\)"
    ):
        build_dataset("small", is_train=is_train, cfg=small_cfg)


def test_a_picture_that_goes_missing_ends_training_and_not_testing(small_cfg, tmp_path):
    small_cfg.TEST.LOADER_THREADS = small_cfg.TRAIN.LOADER_THREADS = 1
    data = {is_train: build_dataset("small", is_train, cfg=small_cfg) for is_train in (True, False)}
    (tmp_path / "images" / "4.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"image id 4: there is no image file .*4\.png"):
        list(make_train_data_loader(data[True], cfg=small_cfg))
    infos = [i for _, infos in make_test_data_loader(data[False], cfg=small_cfg) for i in infos]
    assert len(infos) == 9
    assert [i.image_id for i in infos if "there is no image file" in i.error] == [4]


def test_names_with_backslashes_are_found(small_cfg, tmp_path, caplog):
    path = tmp_path / "a.json"
    content = json.loads(path.read_text())
    (tmp_path / "images" / "sub").mkdir()
    (tmp_path / "images" / "4.png").rename(tmp_path / "images" / "sub" / "4.png")
    next(i for i in content["images"] if i["id"] == 4)["file_name"] = "sub\\4.png"
    path.write_text(json.dumps(content))
    with caplog.at_level(logging.INFO, "pet"):
        dataset = build_dataset("small", is_train=False, cfg=small_cfg)
    assert "1 file names have backslashes, and are read with slashes" in caplog.text
    place = dataset.image_ids.index(4)
    assert dataset.info(place).file == str(tmp_path / "images" / "sub" / "4.png")
    assert dataset.read(place).info.image_id == 4


def test_real_pictures(coco_mini, fresh_cfg):
    options = ["DATA_DIR", str(coco_mini), "MODEL.MASK_ON", True, "TRAIN.SCALES", 64]
    options += ["TRAIN.BATCH_SIZE", 8, "TRAIN.LOADER_THREADS", 0, "SOLVER.MAX_ITER", 2]
    merge_cfg_from_list([*options, "DEVICE", "cpu"], fresh_cfg)
    dataset = build_dataset(("coco_2017_train",), is_train=True, cfg=fresh_cfg)
    assert len(dataset) == 80 and dataset.num_classes == 81
    assert dataset.class_names[0] == "person" and dataset.category_ids[-1] == 90
    for images, targets, infos in make_train_data_loader(dataset, cfg=fresh_cfg):
        assert len(images) == len(targets) == len(infos) == 8
        assert all(min(size) == 64 for size in images.sizes)
        assert all(len(target) == len(target.masks) > 0 for target in targets)
