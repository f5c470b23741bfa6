"""Scores do not depend on how labels are numbered (MODEL.CLASS_LABELS)."""

import contextlib
import json

import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pet.data.datasets import CocoDataset
from pet.evaluation.coco import FIGURES, evaluate_coco, format_metrics
from pet.evaluation.results import image_results, merge_shards, write_shard
from pet.structures import Detections

UNUSED = 12  # an id that no category of COCO has


@pytest.fixture
def truth(coco_mini):
    return coco_mini / "annotations" / "instances_val2017.json"


def _read(truth, labels) -> CocoDataset:
    folder = truth.parents[1] / "val2017"
    return CocoDataset("mini", folder, truth, is_train=True, class_labels=labels)


def _detections(dataset, index, extra=()) -> Detections:
    """Return the objects of an image, moved a little and scored by chance, and some ``extra``."""
    size = tuple(dataset.sizes[index].tolist())
    labels = torch.tensor([*dataset.labels(index), *extra], dtype=torch.int64)
    truth = dataset.read(index).boxes
    generator = torch.Generator().manual_seed(index)
    boxes = truth + 4 * torch.rand(truth.shape, generator=generator)
    scores = torch.rand(len(truth), generator=generator)
    more = torch.tensor([[0.0, 0.0, size[1], size[0]]]).repeat(len(extra), 1)
    # The extra ones come before all others.
    return Detections(torch.cat((boxes, more)), torch.cat((scores, more[:, 0] + 1)), labels, size)


def _evaluate(dataset, folder, extra=()):
    results = [
        image_results(image_id, _detections(dataset, index, extra), dataset.category_ids)
        for index, image_id in enumerate(dataset.image_ids)
    ]
    folder.mkdir()
    write_shard(folder / "shard", results)
    files = merge_shards([folder / "shard"], folder, dataset.image_ids, ("bbox",))
    metrics = evaluate_coco(
        dataset.annotation_file, files, dataset.image_ids, dataset.class_names, dataset.category_ids
    )
    return metrics["bbox"], files["bbox"]


def test_the_same_detections_score_the_same(truth, tmp_path):
    contiguous, first_file = _evaluate(_read(truth, "contiguous"), tmp_path / "a")
    by_id, second_file = _evaluate(_read(truth, "category_id"), tmp_path / "b")
    assert 0.2 < contiguous.AP < 0.9
    assert by_id == contiguous  # every figure, the table of classes and what is printed
    assert second_file.read_bytes() == first_file.read_bytes()
    assert len(by_id.per_class) == 80
    assert "N/A" not in format_metrics("bbox", by_id)


def test_detections_of_no_class_are_on_file_and_change_nothing(truth, tmp_path):
    dataset = _read(truth, "category_id")
    expected, _ = _evaluate(dataset, tmp_path / "a")
    found, file = _evaluate(dataset, tmp_path / "b", extra=[UNUSED, 90, UNUSED])
    plain, _ = _evaluate(dataset, tmp_path / "c", extra=[90])
    assert found == plain and plain.AP != expected.AP
    records = json.loads(file.read_text())
    assert sum(record["category_id"] == UNUSED for record in records) == 2 * len(dataset)
    with contextlib.redirect_stdout(None):
        coco = COCO(str(truth))
        peer = COCOeval(coco, coco.loadRes(str(file)), "bbox")
        peer.params.imgIds = list(dataset.image_ids)
        peer.evaluate()
        peer.accumulate()
        peer.summarize()
    assert [getattr(found, name) for name in FIGURES] == peer.stats.tolist()


def test_nothing_but_detections_of_no_class(truth, tmp_path):
    dataset = _read(truth, "category_id")
    results = tmp_path / "r.json"
    record = {"image_id": dataset.image_ids[0], "bbox": [0, 0, 9, 9], "score": 0.5}
    results.write_text(json.dumps([record | {"category_id": UNUSED}]))
    metrics = evaluate_coco(
        truth, {"bbox": results}, dataset.image_ids, dataset.class_names, dataset.category_ids
    )
    assert metrics["bbox"].AP == metrics["bbox"].AR100 == 0.0


def test_a_category_that_has_this_very_name_counts(tmp_path):
    content = {
        "images": [{"id": 1, "width": 50, "height": 40}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 1, 30, 30]}],
        "categories": [{"id": 2, "name": "N/A"}, {"id": 3, "name": "dog"}],
    }
    truth, results = tmp_path / "a.json", tmp_path / "r.json"
    truth.write_text(json.dumps(content))
    record = {"image_id": 1, "category_id": 2, "bbox": [1, 1, 30, 30], "score": 0.5}
    results.write_text(json.dumps([record]))
    metrics = evaluate_coco(truth, {"bbox": results}, (1,), ("N/A", "N/A", "dog"), (1, 2, 3))
    assert metrics["bbox"].per_class == {"N/A": pytest.approx(1.0), "dog": None}
