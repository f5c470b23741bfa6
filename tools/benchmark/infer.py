"""Testing, from image files to COCO's records with masks as RLE, beside torchvision."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader

from pet.data.build import make_test_data_loader
from pet.data.image_file import read_image
from pet.engine.inference import detect
from pet.evaluation.results import image_results
from pet.layers.fold import prepare_for_inference
from pet.structures import Detections, ImageInfo
from pet.utils.autocast import autocast
from pet.utils.background import map_in_background
from tools.benchmark.comparison import Difference, compare_results, find
from tools.benchmark.measure import Work
from tools.benchmark.peer_data import PeerPictures, peer_records
from tools.benchmark.setting import Setting, build_ours
from tools.benchmark.torchvision_peer import find_by_peer

#: How far Pet may be from torchvision in a row of ``compare_results``: what published results need.
LIMITS = {"boxes": 1e-3, "scores": 1e-5, "masks": 1e-4, "keypoints": 1e-3}

#: How far the number of detections of two sides that are timed may be apart, of the larger one.
COUNT_LIMIT = 0.1


@torch.inference_mode()
def check(setting: Setting) -> list[Difference]:
    """Return how the detections of both sides differ, in float32, image by image."""
    peer = setting.peer()
    model, cfg, dataset = build_ours(setting, peer), setting.cfg(), setting.dataset()
    prepare_for_inference(model)
    rows = []
    for n in range(len(dataset)):
        picture = [read_image(dataset.info(n).file)]
        found = compare_results(find(model, picture, cfg), find_by_peer(peer, picture))
        rows += [row_of(row, dataset.image_ids[n]) for row in found]
    return rows


def row_of(row: Difference, image_id: int) -> Difference:
    """Return ``row``, named after the image's id."""
    kind = row.stage.split(",")[0].removeprefix("result ")
    return Difference(f"{kind}, {image_id}", row.compared, row.largest, row.scale, row.unmatched)


def too_far(rows: Sequence[Difference]) -> list[Difference]:
    """Return the rows of ``check`` that are beyond ``LIMITS`` or lack partners."""
    # The other way round, what is no number would pass.
    return [
        row for row in rows if row.unmatched or not row.largest <= LIMITS[row.stage.split(",")[0]]
    ]


def count(records: Any) -> int:
    """Return how many detections there are among what a side returns."""
    return sum(len(of_image["bbox"]) for of_image in records)


def our_side(setting: Setting, precision: str) -> Work:
    """Return Pet's way through all images, which returns the records.

    As in ``run_test``, they are made in a thread beside the model.
    """
    cfg, device = setting.cfg("TEST.PRECISION", precision), setting.device()
    model, dataset = build_ours(setting, setting.peer()), setting.dataset()
    prepare_for_inference(model, cfg.TEST.PRECISION)
    loader = make_test_data_loader(dataset, 0, 1, cfg=cfg)

    def record(pair: tuple[ImageInfo, Detections]) -> Any:
        info, detections = pair
        return image_results(info.image_id, detections, dataset.category_ids).records

    def work() -> list[Any]:
        return list(map_in_background(record, detect(model, loader, device, cfg.TEST.PRECISION)))

    return lambda: work


def peer_side(setting: Setting, precision: str) -> Work:
    """Return torchvision's way through all images, in the same batches."""
    peer, device, dataset = setting.peer(), setting.device(), setting.dataset()
    batches = list(make_test_data_loader(dataset, 0, 1, cfg=setting.cfg()).batch_sampler or ())
    files = [dataset.info(n).file for n in range(len(dataset))]
    loader: DataLoader[Any] = DataLoader(
        PeerPictures(files),
        batch_sampler=batches,
        collate_fn=list,
        num_workers=setting.workers,
        persistent_workers=setting.workers > 0,
    )
    image_ids = [[dataset.image_ids[n] for n in batch] for batch in batches]

    @torch.inference_mode()
    def work() -> list[Any]:
        records = []
        for ids, images in zip(image_ids, loader, strict=True):
            with autocast(device, precision):
                outputs = peer([image.to(device) for image in images])
            for image_id, found in zip(ids, outputs, strict=True):
                on_cpu = {key: value.cpu() for key, value in found.items()}
                records.append(peer_records(image_id, on_cpu, dataset.category_ids))
        return records

    return lambda: work
