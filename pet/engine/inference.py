"""Testing: detections of a whole data set, in one process or several, and their score."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from pet.checkpoint.weights import load_weights, require_weights
from pet.config import CfgNode, cfg
from pet.data.build import (
    build_dataset,
    make_test_data_loader,
    resolve_num_classes,
    resolve_num_keypoints,
)
from pet.data.datasets import Dataset
from pet.data.image_file import read_image
from pet.engine.augmentation import with_augmentation
from pet.engine.launch import spawn
from pet.engine.logger import logging_rank, setup_logging
from pet.engine.progress import show_progress
from pet.engine.train import join_processes, set_num_classes, set_num_keypoints
from pet.evaluation.coco import IOU_TYPES, evaluate_coco, write_metrics
from pet.evaluation.oks import check_sigmas
from pet.evaluation.proposals import evaluate_proposals
from pet.evaluation.results import ImageResults, image_results, merge_shards, write_shard
from pet.layers.fold import prepare_for_inference
from pet.modeling.build import build_model
from pet.structures import Detections, ImageInfo
from pet.structures.labels import UNUSED_CLASS
from pet.utils import comm
from pet.utils.behind import map_behind
from pet.utils.env import cpu_count, describe_env
from pet.utils.precision import autocast
from pet.visualization.draw import draw_detections, save_picture

_logger = logging.getLogger(__name__)


@torch.inference_mode()
def detect(
    model: nn.Module, loader: DataLoader, device: torch.device, precision: str = "float32"
) -> Iterator[tuple[ImageInfo, Detections]]:
    """Yield each image of ``loader`` with its detections, in pixels of the image as stored.

    ``precision`` as in ``TEST.PRECISION``.
    """
    model.eval()
    for images, infos in loader:
        with autocast(device, precision):
            detections = model(images.to(device, non_blocking=True))
        for info, per_image in zip(infos, detections, strict=True):
            yield info, per_image.to("cpu").resized((info.height, info.width))


def run_test(cfg: CfgNode = cfg, nproc: int | None = None) -> None:
    """Test the model that ``cfg`` describes on each of ``TEST.DATASETS``.

    Under a launcher each of its processes takes a part; else ``nproc`` processes are started, by
    default one for each CUDA device that there is, or a single one. Result files, scores and
    pictures go into ``cfg.CKPT``. The results do not depend on the number of processes.
    """
    device = join_processes(cfg.DEVICE)
    setup_logging(Path(cfg.CKPT))
    _check_input(cfg)
    launched = comm.is_distributed()
    world_size = comm.get_world_size() if launched else nproc or _processes_for(cfg.DEVICE, device)
    logging_rank(f"{describe_env()}\ntesting on {device.type}, {world_size} process(es)")
    if launched:
        _test_part(comm.get_rank(), world_size, cfg, device)
        comm.synchronize()
    elif world_size > 1:
        spawn(_test_spawned, world_size, (cfg, device), threads=cpu_count())
    else:
        _test_part(0, 1, cfg, device)
    if comm.is_main_process():
        _score(cfg, world_size)
    comm.synchronize()


def _processes_for(name: str, device: torch.device) -> int:
    """Return one process for each CUDA device, unless ``DEVICE`` names a single one."""
    return torch.cuda.device_count() if device.type == "cuda" and ":" not in name else 1


def _check_input(cfg: CfgNode) -> None:
    """Find what is missing before any model is built, and draw or open the data once."""
    if not cfg.TEST.DATASETS:
        raise ValueError("TEST.DATASETS names no data set to test on, such as coco_2017_val")
    weights = _weights_file(cfg)
    if cfg.TEST.WEIGHTS:
        require_weights(weights, "TEST.WEIGHTS")
    elif not weights.is_file():
        raise FileNotFoundError(
            f"there are no weights to test: {weights} does not exist; train first with "
            "tools/rcnn/train_net.py and the same config, or give TEST.WEIGHTS"
        )
    counts, points = {}, {}
    for name in cfg.TEST.DATASETS:
        dataset = build_dataset((name,), is_train=False, cfg=cfg)
        counts[name] = resolve_num_classes(dataset, cfg)
        if dataset.keypoint_layout is not None:
            points[name] = resolve_num_keypoints(dataset, cfg)
    set_num_classes(cfg, _same(counts, "classes"))
    if points:
        set_num_keypoints(cfg, _same(points, "keypoints"))
        check_sigmas(cfg.KRCNN.NUM_KEYPOINTS, cfg.KRCNN.SIGMAS)


def _same(counts: Mapping[str, int], what: str) -> int:
    """Return the number of ``what`` of all data sets, by name; ValueError where they differ."""
    if len(set(counts.values())) > 1:
        raise ValueError(f"the data sets of TEST.DATASETS differ in their {what}: {dict(counts)}")
    return next(iter(counts.values()))


def _weights_file(cfg: CfgNode) -> Path:
    return Path(cfg.TEST.WEIGHTS or Path(cfg.CKPT) / "model_latest.pth")


def _test_part(rank: int, world_size: int, cfg: CfgNode, device: torch.device) -> None:
    """Write the results of this process's part of every data set."""
    if device.type == "cpu":
        # Sums are split over the threads: with as many in every process, the last digit is the
        # same however many processes there are.
        torch.set_num_threads(cpu_count())
    model = build_model(device, cfg)
    report = load_weights(model, _weights_file(cfg), strict=True, cfg=cfg)
    prepare_for_inference(model.eval(), cfg.TEST.PRECISION)
    for name in cfg.TEST.DATASETS:
        dataset = build_dataset((name,), is_train=False, cfg=cfg)
        _warn_of_other_classes(report.class_names, dataset)
        loader = make_test_data_loader(dataset, rank, world_size, cfg=cfg)
        detector = with_augmentation(model, cfg, dataset.keypoint_layout)
        found: Iterable[tuple[ImageInfo, Detections]] = detect(
            detector, loader, device, cfg.TEST.PRECISION
        )
        if rank == 0:
            share = -(-len(dataset) // world_size)
            found = show_progress(found, f"testing on {name}", share, "images")
        results = _results(found, dataset, cfg, name)
        write_shard(_shard(_folder(cfg, name), rank, world_size), results)


def _test_spawned(rank: int, world_size: int, cfg: CfgNode, device: torch.device) -> None:
    """Do the part of a process that Pet started itself."""
    setup_logging(rank=rank)
    if device.type == "cuda":
        device = _device_of(rank, device)
        # Otherwise the loader, which pins memory, would take up room on the first GPU as well.
        torch.cuda.set_device(device)
    _test_part(rank, world_size, cfg, device)


def _device_of(rank: int, device: torch.device) -> torch.device:
    """Return the GPU of process ``rank``: the one that DEVICE names, or each in turn."""
    if device.index is not None:
        return device
    return torch.device("cuda", rank % torch.cuda.device_count())


def _results(
    found: Iterable[tuple[ImageInfo, Detections]],
    dataset: Dataset,
    cfg: CfgNode,
    name: str,
) -> Iterator[ImageResults]:
    """Turn detections into records, drawing those that ``VIS`` asks for."""
    drawn = set(dataset.image_ids[: cfg.VIS.MAX_IMAGES or None]) if cfg.VIS.ENABLED else set()

    def draw_and_record(pair: tuple[ImageInfo, Detections]) -> ImageResults:
        info, detections = pair
        if info.image_id in drawn:
            _draw(info, detections, dataset, cfg, name)
        return image_results(info.image_id, detections, dataset.category_ids, cfg.KRCNN.PIXEL_SHIFT)

    return map_behind(draw_and_record, found)


def _draw(
    info: ImageInfo, detections: Detections, dataset: Dataset, cfg: CfgNode, name: str
) -> None:
    path = Path(cfg.CKPT, "vis", name, f"{Path(info.file).stem}.jpg")
    names = ("object",) if cfg.MODEL.RPN_ONLY else dataset.class_names
    image, layout = read_image(info.file), dataset.keypoint_layout
    picture = draw_detections(image, detections, names, cfg.VIS.VIS_TH, layout)
    save_picture(path, picture)


def _score(cfg: CfgNode, world_size: int) -> None:
    """Merge the parts, evaluate each data set and say where everything is."""
    for name in cfg.TEST.DATASETS:
        dataset = build_dataset((name,), is_train=False, cfg=cfg)
        folder = _folder(cfg, name)
        shards = [_shard(folder, rank, world_size) for rank in range(world_size)]
        present = (True, cfg.MODEL.MASK_ON, cfg.MODEL.KEYPOINT_ON)
        kinds = [kind for kind, on in zip(IOU_TYPES, present, strict=True) if on]
        files = merge_shards(shards, folder, dataset.image_ids, kinds)
        for shard in shards:
            shard.unlink()
        write_metrics(folder / "metrics.json", _evaluate(dataset, files, cfg))
        logging_rank(f"results of {name} are in {folder}")
        if cfg.VIS.ENABLED:
            logging_rank(f"pictures of {name} are in {Path(cfg.CKPT, 'vis', name)}")


def _evaluate(dataset: Dataset, files: Mapping[str, Path], cfg: CfgNode) -> dict[str, Any]:
    """Return the figures of each kind of result."""
    truth, image_ids = dataset.annotation_file, dataset.image_ids
    if cfg.MODEL.RPN_ONLY:
        ids = dataset.category_ids
        return {"proposals": evaluate_proposals(truth, files["bbox"], image_ids, ids)}
    names, ids = dataset.class_names, dataset.category_ids
    return dict(evaluate_coco(truth, files, image_ids, names, ids, cfg.KRCNN.SIGMAS))


def _warn_of_other_classes(trained: Sequence[str], dataset: Dataset) -> None:
    """Warn where labels mean something else here than in training: the score would be near 0."""
    pairs = zip(trained, dataset.class_names, strict=False)
    differ = [
        f"{ours!r} is {theirs!r} here"
        for ours, theirs in pairs
        if ours != theirs and UNUSED_CLASS not in (ours, theirs)
    ]
    if differ and comm.is_main_process():
        _logger.warning(
            "the weights were trained for other classes than those of %s: %s",
            dataset.name,
            "; ".join(differ[:3]),
        )


def _folder(cfg: CfgNode, name: str) -> Path:
    return Path(cfg.CKPT, "test", name)


def _shard(folder: Path, rank: int, world_size: int) -> Path:
    return folder / f"part_{rank}_of_{world_size}.jsonl"
