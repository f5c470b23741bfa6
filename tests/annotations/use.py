"""All that is done with an annotation file: training, testing, and what must hold between them.

Run as a program, it damages small files one after the other, for a process that looks on.
"""

import faulthandler
import json
import random
import resource
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as coco_mask
import torch

from pet.data.datasets import CocoDataset
from pet.data.datasets.coco_keypoints import KeypointOptions
from pet.data.sample import make_targets
from pet.data.transforms import RandomHorizontalFlip, Resize
from pet.evaluation.coco import evaluate_coco
from pet.evaluation.ground_truth import ground_truth
from tests.annotations.damage import damage, sound_content, write_pictures

SIGMAS = (0.05, 0.05, 0.05)


def attempt(what: Any, *names: str) -> Any:
    """Return what ``what()`` does, or None where it raises an error that has one of ``names``."""
    try:
        return what()
    except (ValueError, FileNotFoundError) as error:
        wrong = error
    assert type(wrong) in (ValueError, FileNotFoundError), repr(wrong)
    assert any(name in str(wrong) for name in names), repr(wrong)
    assert len(str(wrong)) < 3000, str(wrong)[:3000]
    return None


Way = tuple[bool, bool, str]  # with masks, with keypoints, what labels stand for
WAYS: list[Way] = list(product((False, True), (False, True), ("contiguous", "category_id")))


def use(file: Path, pictures: Path, ways: list[Way] = WAYS) -> int:
    """Train with ``file`` and test by it, in ``ways``; return in how many of them it is right."""
    return sum(_use_as(file, pictures, *way) for way in ways)


def _use_as(file: Path, pictures: Path, with_masks: bool, with_points: bool, labels: str) -> int:
    options: dict[str, Any] = {
        "with_masks": with_masks,
        "class_labels": labels,
        "keypoints": KeypointOptions() if with_points else None,
    }

    def dataset(**more: Any) -> CocoDataset | None:
        def make() -> CocoDataset:
            return CocoDataset("small", pictures, file, **options, **more)

        return attempt(make, str(file))

    training = dataset(is_train=True)
    testing = dataset(is_train=False)
    if training is not None:
        _train(training)
    if testing is not None:
        _test(testing, with_masks, with_points)
    if training is not None:
        assert testing is not None, "what can be trained on can be tested by"
        _compare(training, "segm" if with_masks else "bbox")
    return (training is not None) + (testing is not None)


def _train(dataset: CocoDataset) -> None:
    attempt(dataset.check_pictures, "data set 'small'")
    layout = dataset.keypoint_layout
    order = attempt(layout.flip_order, "partner") if layout is not None else ()
    flip = RandomHorizontalFlip(1.0, order or ())
    rng = np.random.default_rng(0)
    for index in range(len(dataset)):
        image_id = f"image id {dataset.image_ids[index]}"
        sample = attempt(lambda index=index: dataset.read(index), image_id)
        if sample is None:
            continue
        for targets in (
            make_targets(sample),
            make_targets(Resize((20,), 40)(sample, rng)),
            *([make_targets(flip(sample, rng))] if order is not None else []),
        ):
            assert torch.isfinite(targets.boxes).all()
            assert len(targets.boxes) == len(targets.labels)
            if targets.keypoints is not None:
                assert torch.isfinite(targets.keypoints).all()


def _test(dataset: CocoDataset, with_masks: bool, with_points: bool) -> None:
    table, file = dataset.annotations, dataset.annotation_file
    for kind in ["bbox", *["segm"] * with_masks, *["keypoints"] * with_points]:
        truth = attempt(lambda kind=kind: ground_truth(table, kind, dataset.image_ids), file)
        if truth is None:
            continue
        records = [_record(entry, kind) for entry in truth.anns.values()]
        results = Path(file).with_name("results.json")
        results.write_text(json.dumps(records))
        count = len(dataset.keypoint_layout or ())

        def score(kind: str = kind, results: Path = results, count: int = count) -> Any:
            sigmas = (0.05,) * count
            classes = dataset.class_names, dataset.category_ids
            return evaluate_coco(table, {kind: results}, dataset.image_ids, *classes, sigmas)

        metrics = attempt(score, file)
        assert metrics is None or -1 <= metrics[kind].AP <= 1 + 1e-9


def _record(entry: dict[str, Any], kind: str) -> dict[str, Any]:
    record = {"image_id": entry["image_id"], "category_id": entry["category_id"], "score": 0.5}
    if kind == "bbox":
        return {**record, "bbox": entry["bbox"]}
    if kind == "keypoints":
        return {**record, "keypoints": entry["keypoints"]}
    mask = entry["segmentation"]
    return {**record, "segmentation": {**mask, "counts": mask["counts"].decode()}}


def _compare(dataset: CocoDataset, kind: str) -> None:
    """Hold what is trained on to what is scored by: image for image, box and mask."""
    table = dataset.annotations
    truth = ground_truth(table, kind, table.image_ids.tolist())
    for index, image_id in enumerate(dataset.image_ids):
        wanted = [entry for entry in truth.imgToAnns[image_id] if not entry["iscrowd"]]
        labels = [dataset.category_ids[label - 1] for label in dataset.labels(index)]
        assert labels == [entry["category_id"] for entry in wanted]
        sample = attempt(lambda index=index: dataset.read(index), f"image id {image_id}")
        if sample is None:
            continue
        height, width = sample.size
        targets = make_targets(sample)
        assert len(targets.boxes) == len(wanted)
        boxes = np.array([entry["bbox"] for entry in wanted]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        boxes = boxes.clip(0, [width, height] * 2).astype(np.float32)
        np.testing.assert_array_equal(targets.boxes.numpy(), boxes)
        if targets.masks is None or kind != "segm":
            continue
        for number, entry in enumerate(wanted):
            crop = targets.masks.unpack(number)
            full = np.zeros((height, width), np.uint8)
            rows, columns = crop.bits.shape
            full[crop.y : crop.y + rows, crop.x : crop.x + columns] = crop.bits
            np.testing.assert_array_equal(full, coco_mask.decode(entry["segmentation"]))


def main() -> None:
    """Use the files that the seeds START to END give; progress goes to stdout."""
    folder, start, end = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    faulthandler.enable()
    torch.set_num_threads(1)
    pictures = write_pictures(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resource.setrlimit(resource.RLIMIT_DATA, (6 << 30, 6 << 30))
    file = folder / "a.json"
    right = 0
    for seed in range(start, end):
        print(seed, flush=True)
        file.write_bytes(damage(sound_content(), random.Random(seed)))
        right += use(file, pictures, random.Random(seed).sample(WAYS, 2))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 400 << 10, f"{grown} kB more"
    print("right", right)


if __name__ == "__main__":
    main()
