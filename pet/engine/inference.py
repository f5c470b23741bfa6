"""Testing: detections of a whole data set, in one process or several, and their score."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from pet.config import CfgNode, cfg
from pet.data.build import make_test_data_loader, resolve_num_classes, resolve_num_keypoints
from pet.engine.augmentation import with_augmentation
from pet.engine.eval_set import EvalSet, own_scores, read_eval_set
from pet.engine.start import join_processes, set_num_classes, set_num_keypoints
from pet.engine.vis_pictures import VisPictures
from pet.evaluation.coco import evaluate_coco
from pet.evaluation.lvis import evaluate_lvis
from pet.evaluation.oks import check_sigmas
from pet.evaluation.proposals import evaluate_proposals
from pet.evaluation.results import (
    ImageResults,
    image_results,
    merge_shards,
    unread_images,
    write_shard,
)
from pet.evaluation.score_files import Metrics, remove_scores, write_scores
from pet.evaluation.voc import evaluate_voc
from pet.launch.processes import spawn
from pet.layers.fold import prepare_for_inference
from pet.logger.progress import show_progress
from pet.logger.training_logger import logging_rank, setup_logging
from pet.modeling.abilities import check_abilities, result_kinds
from pet.modeling.build import build_model
from pet.structures import Detections, ImageInfo
from pet.utils import comm
from pet.utils.autocast import autocast
from pet.utils.background import map_in_background
from pet.utils.env import cpu_count, describe_env
from pet.weights.import_weights import ImportedWeights, import_weights
from pet.weights.load import load_weights, require_weights


@torch.inference_mode()
def detect(
    model: nn.Module, loader: DataLoader, device: torch.device, precision: str = "float32"
) -> Iterator[tuple[ImageInfo, Detections]]:
    """Yield each image of ``loader`` with its detections, in pixels of the image as read.

    ``precision`` as in ``TEST.PRECISION``. If a picture could not be read, the image's info has an
    ``error``, and there are no detections.
    """
    model.eval()
    for images, infos in loader:
        with autocast(device, precision):
            detections = model(images.to(device, non_blocking=True))
        for info, per_image in zip(infos, detections, strict=True):
            found = per_image.to("cpu").resized((info.height, info.width))
            yield info, found[:0] if info.error else found


def run_test(cfg: CfgNode = cfg, nproc: int | None = None) -> None:
    """Test the model that ``cfg`` describes on each of ``TEST.DATASETS``.

    Under a launcher each of its processes takes a part; otherwise ``nproc`` processes are started,
    by default one for each CUDA device, or a single one. Result files, scores and pictures go into
    ``cfg.CKPT``. The results do not depend on the number of processes.
    """
    device = join_processes(cfg.DEVICE)
    setup_logging(Path(cfg.CKPT))
    job = _prepare(cfg)
    launched = comm.is_distributed()
    world_size = comm.get_world_size() if launched else nproc or _processes_for(cfg.DEVICE, device)
    logging_rank(f"{describe_env()}\ntesting on {device.type}, {world_size} process(es)")
    if launched:
        _test_part(comm.get_rank(), world_size, cfg, device, job)
        comm.synchronize()
    elif world_size > 1:
        spawn(_test_spawned, world_size, (cfg, device), threads=cpu_count())
    else:
        _test_part(0, 1, cfg, device, job)
    try:
        if comm.is_main_process():
            score_shares(job.sets, _share(0, world_size, cfg), cfg)
    finally:
        comm.synchronize()  # the others wait here, even if the first raises an error


def _processes_for(name: str, device: torch.device) -> int:
    """Return one process for each CUDA device, unless ``DEVICE`` names a single one."""
    return torch.cuda.device_count() if device.type == "cuda" and ":" not in name else 1


@dataclass(frozen=True, kw_only=True)
class Share:
    """A process's share of a test, and the folder of the results of all processes."""

    folder: Path  # with a subfolder for each data set
    rank: int = 0
    world_size: int = 1
    draws: bool = False  # whether pictures of the detections are drawn, as ``VIS`` says

    def shards(self, name: str) -> list[Path]:
        """Return the files in which the processes write their results of data set ``name``."""
        folder, count = self.folder / name, self.world_size
        return [folder / f"part_{rank}_of_{count}.jsonl" for rank in range(count)]


@dataclass(frozen=True)
class _Job:
    """The weights and the data sets of a test; each process reads each of their files once."""

    weights: ImportedWeights
    sets: tuple[EvalSet, ...]


def _prepare(cfg: CfgNode) -> _Job:
    """Read and check weights and data before any model is built."""
    if not cfg.TEST.DATASETS:
        raise ValueError("TEST.DATASETS names no data set to test on, such as coco_2017_val")
    check_abilities(cfg, "testing")
    file = _weights_file(cfg)
    if cfg.TEST.WEIGHTS:
        require_weights(file, "TEST.WEIGHTS")
    elif not file.is_file():
        raise FileNotFoundError(
            f"there are no weights to test: {file} does not exist; train first with "
            "tools/rcnn/train_net.py and the same config, or give TEST.WEIGHTS"
        )
    weights = import_weights(file)
    sets = tuple(
        read_eval_set(name, weights.class_names, cfg, weights.names_classes)
        for name in cfg.TEST.DATASETS
    )
    counts = {each.name: _count_labels(each, weights, cfg) for each in sets}
    set_num_classes(cfg, _same(counts, "classes"))
    points = {
        each.name: resolve_num_keypoints(each.data, cfg)
        for each in sets
        if each.data.keypoint_layout is not None
    }
    if points:
        set_num_keypoints(cfg, _same(points, "keypoints"))
        check_sigmas(cfg.KRCNN.NUM_KEYPOINTS, cfg.KRCNN.SIGMAS)
    return _Job(weights, sets)


def _count_labels(tested: EvalSet, weights: ImportedWeights, cfg: CfgNode) -> int:
    """Return the number of classes, with the background, of the model for a data set."""
    if not tested.by_name:
        return resolve_num_classes(tested.data, cfg)
    count = len(weights.class_names) + 1
    if cfg.MODEL.NUM_CLASSES not in (-1, count):
        raise ValueError(
            f"MODEL.NUM_CLASSES is {cfg.MODEL.NUM_CLASSES}, but {weights.source} is for "
            f"{count - 1} classes, {count} with the background; give {count}, or -1 to take it "
            "from the weights"
        )
    return count


def _same(counts: Mapping[str, int], what: str) -> int:
    """Return the count that all data sets share; raises ValueError if they differ."""
    if len(set(counts.values())) > 1:
        raise ValueError(f"the data sets of TEST.DATASETS differ in their {what}: {dict(counts)}")
    return next(iter(counts.values()))


def _weights_file(cfg: CfgNode) -> Path:
    return Path(cfg.TEST.WEIGHTS or Path(cfg.CKPT) / "model_latest.pth")


def _test_part(rank: int, world_size: int, cfg: CfgNode, device: torch.device, job: _Job) -> None:
    """Write the results of this process's part of every data set."""
    model = build_model(device, cfg)
    load_weights(model, job.weights, strict=True, cfg=cfg)
    write_share(model, job.sets, _share(rank, world_size, cfg), cfg)


def _share(rank: int, world_size: int, cfg: CfgNode) -> Share:
    folder = Path(cfg.CKPT, "test")
    return Share(folder=folder, rank=rank, world_size=world_size, draws=cfg.VIS.ENABLED)


def _test_spawned(rank: int, world_size: int, cfg: CfgNode, device: torch.device) -> None:
    """Test the part of a process that Pet has started."""
    setup_logging(rank=1)  # the first process has logged all about the input
    job = _prepare(cfg)
    setup_logging(rank=rank)
    if device.type == "cuda":
        device = _device_of(rank, device)
        # Otherwise the loader, which pins memory, would also use memory of the first GPU.
        torch.cuda.set_device(device)
    _test_part(rank, world_size, cfg, device, job)


def _device_of(rank: int, device: torch.device) -> torch.device:
    """Return the device of process ``rank``: the one that DEVICE names, or each GPU in turn."""
    if device.index is not None:
        return device
    return torch.device("cuda", rank % torch.cuda.device_count())


def write_share(model: nn.Module, sets: Iterable[EvalSet], share: Share, cfg: CfgNode) -> None:
    """Write the results of ``model`` on this process's share of every data set.

    This changes ``model``: it is prepared for inference. On the CPU it changes the number of
    threads.
    """
    device = next(model.parameters()).device
    if device.type == "cpu":
        # Threads split sums. With equally many threads in every process, the last digit does not
        # depend on the number of processes.
        torch.set_num_threads(cpu_count())
    prepare_for_inference(model.eval(), cfg.TEST.PRECISION)
    for tested in sets:
        data = tested.data
        loader = make_test_data_loader(data, share.rank, share.world_size, cfg=cfg)
        detector = with_augmentation(model, cfg, data.keypoint_layout)
        found: Iterable[tuple[ImageInfo, Detections]] = detect(
            detector, loader, device, cfg.TEST.PRECISION
        )
        if share.rank == 0:
            count = -(-len(data) // share.world_size)
            found = show_progress(found, f"testing on {tested.name}", count, "images")
        results = _results(found, tested, share.draws, cfg)
        write_shard(share.shards(tested.name)[share.rank], results)


def _results(
    found: Iterable[tuple[ImageInfo, Detections]], tested: EvalSet, draws: bool, cfg: CfgNode
) -> Iterator[ImageResults]:
    """Turn detections into records, drawing those that ``VIS`` asks for if it ``draws``."""
    pictures = VisPictures(tested.data, tested.match.class_names, cfg) if draws else None

    def draw_and_record(pair: tuple[ImageInfo, Detections]) -> ImageResults:
        info, detections = pair
        if info.error:
            return ImageResults(info.image_id, {}, info.error)
        if pictures is not None:
            pictures.draw(info, detections)
        shift = cfg.KRCNN.PIXEL_SHIFT
        return image_results(info.image_id, detections, tested.match.category_ids, shift)

    return map_in_background(draw_and_record, found)


def score_shares(
    sets: Iterable[EvalSet], share: Share, cfg: CfgNode
) -> dict[str, dict[str, Metrics]]:
    """Merge what all processes wrote, evaluate each data set and log where the files are.

    Returns the scores by data set and kind of result; a data set without annotations has none.
    Raises ValueError if pictures of a data set could not be read.
    """
    troubles, scores = [], {}
    for tested in sets:
        name, folder = tested.name, share.folder / tested.name
        shards = share.shards(name)
        files = merge_shards(shards, folder, tested.data.image_ids, result_kinds(cfg))
        errors = list(unread_images(shards).values())
        for shard in shards:
            shard.unlink()
        remove_scores(folder)  # of an earlier test
        if errors:
            troubles.append(
                f"{len(errors)} of {len(tested.data)} pictures of {name} could not be read, so "
                f"that it is not scored; the results of the others are in {folder}: "
                f"{'; '.join(errors[:3])}{' ...' if len(errors) > 3 else ''}"
            )
        elif tested.truth.has_annotations:
            scores[name] = _evaluate(tested, files, cfg)
            write_scores(folder, scores[name])
        else:
            logging_rank(f"{tested.truth.file} has no annotations, so that {name} is not scored")
        logging_rank(f"results of {name} are in {folder}")
        if share.draws:
            logging_rank(f"pictures of {name} are in {Path(cfg.CKPT, 'vis', name)}")
    if troubles:
        raise ValueError("; ".join(troubles))
    return scores


def _evaluate(tested: EvalSet, files: Mapping[str, Path], cfg: CfgNode) -> dict[str, Metrics]:
    """Return the scores of each kind of result."""
    data, truth = tested.data, tested.truth
    ids = data.category_ids
    if cfg.MODEL.RPN_ONLY:
        return {"proposals": evaluate_proposals(truth, files["bbox"], data.image_ids, ids)}
    if "lvis" in own_scores(data):
        return dict(evaluate_lvis(truth, files, data.image_ids, data.class_names, ids))
    sigmas = cfg.KRCNN.SIGMAS
    scores: dict[str, Metrics] = {
        **evaluate_coco(truth, files, data.image_ids, data.class_names, ids, sigmas)
    }
    if "voc" in own_scores(data) and "bbox" in files:
        scores["voc"] = evaluate_voc(truth, files["bbox"], data.image_ids, data.class_names, ids)
    return scores
