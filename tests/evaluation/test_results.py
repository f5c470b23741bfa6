import json
from dataclasses import replace

import numpy as np
import pycocotools.mask as coco_mask
import pytest
import torch

from pet.evaluation.results import (
    ImageResults,
    image_results,
    merge_shards,
    unread_images,
    write_shard,
)
from pet.structures import Detections


def some_detections(count: int, size: tuple[int, int] = (60, 80), seed: int = 0) -> Detections:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 30
    return Detections(
        boxes=torch.cat([corner, corner + 5 + torch.rand(count, 2, generator=generator) * 20], 1),
        scores=torch.rand(count, generator=generator).sort(descending=True).values,
        labels=torch.randint(1, 3, (count,), generator=generator),
        size=size,
        mask_probs=torch.rand(count, 28, 28, generator=generator),
    )


def test_box_records_are_worked_out_by_hand():
    detections = Detections(
        boxes=torch.tensor([[1.0, 2.0, 11.5, 22.25], [0.0, 0.0, 1 / 3, 2.0]]),
        scores=torch.tensor([0.9, 0.123456789]),
        labels=torch.tensor([2, 1]),
        size=(40, 50),
    )
    results = image_results(7, detections, category_ids=(3, 18))
    assert results.image_id == 7
    assert results.records == {
        "bbox": [
            {"image_id": 7, "category_id": 18, "bbox": [1.0, 2.0, 10.5, 20.25], "score": 0.9},
            {"image_id": 7, "category_id": 3, "bbox": [0.0, 0.0, 0.333, 2.0], "score": 0.123457},
        ]
    }


def test_extras_of_a_number_or_a_list_stand_in_the_records_of_boxes():
    extras = {
        "age": torch.tensor([3, 4]),
        "is_wet": torch.tensor([True, False]),
        "colour": torch.tensor([[0.1, 0.2], [1 / 3, 1e7]]),
        "picture": torch.zeros(2, 3, 3),
    }
    found = replace(some_detections(2), labels=torch.tensor([1, 2]), extras=extras)
    records = image_results(7, found, category_ids=(3, 18)).records
    assert records["bbox"][0]["extras"] == {"age": 3, "is_wet": True, "colour": [0.1, 0.2]}
    assert records["bbox"][1]["extras"]["colour"] == [0.333333, 1e7]
    assert "extras" not in records["segm"][0]
    left = image_results(7, found, category_ids=(None, 18)).records["bbox"]
    assert [record["extras"]["age"] for record in left] == [4]
    extras["age"] = torch.tensor([3.0, float("nan")])
    with pytest.raises(ValueError, match=r"image 7 .* 'age', one of Detections\.extras"):
        image_results(7, found, category_ids=(3, 18))


def test_a_label_without_a_category_is_left_out():
    detections = some_detections(20)
    every = image_results(7, detections, (3, 18)).records
    some = image_results(7, detections, (3, None)).records
    assert 0 < len(some["bbox"]) < 20
    for kind in every:
        assert some[kind] == [record for record in every[kind] if record["category_id"] == 3]


def test_pictures_that_could_not_be_read_are_told_apart(tmp_path):
    results = [
        image_results(1, some_detections(2), (3, 18)),
        ImageResults(2, {}, "cut off"),
        ImageResults(3, {}),
    ]
    write_shard(tmp_path / "a", results)
    assert unread_images([tmp_path / "a"]) == {2: "cut off"}
    files = merge_shards([tmp_path / "a"], tmp_path, (1, 2, 3))
    assert {record["image_id"] for record in json.loads(files["bbox"].read_text())} == {1}


def test_mask_records_are_the_pixels_of_the_box():
    detections = Detections(
        boxes=torch.tensor([[10.0, 20.0, 14.0, 26.0]]),
        scores=torch.tensor([1.0]),
        labels=torch.tensor([1]),
        size=(40, 50),
        mask_probs=torch.ones(1, 28, 28),
    )
    (record,) = image_results(7, detections, (1,)).records["segm"]
    assert set(record) == {"image_id", "category_id", "segmentation", "score"}
    expected = np.zeros((40, 50), np.uint8, order="F")
    expected[20:26, 10:14] = 1
    counts = coco_mask.encode(expected)["counts"].decode()
    assert record["segmentation"] == {"size": [40, 50], "counts": counts}


def test_keypoint_records_are_worked_out_by_hand():
    points = torch.tensor([[[1.5, 2.5, 0.123456789], [10.0, 0.25, 1.0]]])
    detections = replace(some_detections(1), keypoints=points)
    (record,) = image_results(7, detections, (3, 18), keypoint_shift=0.5).records["keypoints"]
    assert set(record) == {"image_id", "category_id", "keypoints", "score"}
    assert record["keypoints"] == [1.0, 2.0, 0.123457, 9.5, -0.25, 1.0]
    (as_they_are,) = image_results(7, detections, (3, 18)).records["keypoints"]
    assert as_they_are["keypoints"] == [1.5, 2.5, 0.123457, 10.0, 0.25, 1.0]


def test_label_0_is_no_object():
    boxes = torch.tensor([[0.0, 0.0, 4.0, 5.0], [1.0, 1.0, 4.0, 5.0]])
    found = Detections(boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]), (8, 8))
    (record,) = image_results(1, found, [7, 9]).records["bbox"]
    assert record["category_id"] == 7 and record["score"] == 0.8


def test_no_detections_give_no_records():
    none = some_detections(0)
    assert image_results(1, none, (1, 2)).records == {"bbox": [], "segm": []}
    none = replace(none, keypoints=torch.zeros(0, 17, 3))
    assert image_results(1, none, (1, 2)).records == {"bbox": [], "segm": [], "keypoints": []}


@pytest.mark.parametrize("field", ["boxes", "scores", "keypoints"])
def test_a_detection_that_is_not_a_number_names_its_image(field):
    detections = replace(some_detections(2), keypoints=torch.zeros(2, 3, 3))
    getattr(detections, field)[0] = float("nan")
    with pytest.raises(ValueError, match=r"image 7 .*not a finite number"):
        image_results(7, detections, (1, 2))


def results_of(image_id: int) -> ImageResults:
    return image_results(image_id, some_detections(image_id % 3, seed=image_id), (1, 2))


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_merged_files_do_not_depend_on_the_number_of_shards(tmp_path, world):
    image_ids = (5, 2, 9, 14, 3)
    shards = [tmp_path / f"shard{rank}.jsonl" for rank in range(world)]
    for rank, shard in enumerate(shards):
        write_shard(shard, (results_of(image_id) for image_id in image_ids[rank::world]))
    files = merge_shards(shards, tmp_path / "merged", image_ids)
    alone = tmp_path / "alone.jsonl"
    write_shard(alone, map(results_of, sorted(image_ids)))
    expected = merge_shards([alone], tmp_path / "expected", image_ids)
    assert list(files) == ["bbox", "segm"]
    for kind, path in files.items():
        assert path == tmp_path / "merged" / f"{kind}.json"
        assert path.read_bytes() == expected[kind].read_bytes()
        assert json.loads(path.read_text()) == [
            record
            for image_id in sorted(image_ids)
            for record in results_of(image_id).records[kind]
        ]


def test_no_detections_at_all_merge_to_an_empty_list(tmp_path):
    write_shard(tmp_path / "a.jsonl", [image_results(4, some_detections(0), (1, 2))])
    (path,) = merge_shards([tmp_path / "a.jsonl"], tmp_path, (4,), ("bbox",)).values()
    assert json.loads(path.read_text()) == []


def test_a_shard_is_not_there_before_its_last_image(tmp_path):
    def interrupted():
        yield results_of(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "a.jsonl", interrupted())
    assert not list(tmp_path.iterdir())


def test_missing_foreign_and_double_images_are_errors(tmp_path):
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    write_shard(one, [results_of(1), results_of(2)])
    write_shard(two, [results_of(2)])
    with pytest.raises(RuntimeError, match=r"lack the results of 1 images \(ids \[3\]\)"):
        merge_shards([one], tmp_path, (1, 2, 3))
    with pytest.raises(RuntimeError, match=r"1 foreign ones \(ids \[2\]\)"):
        merge_shards([one], tmp_path, (1,))
    with pytest.raises(RuntimeError, match=r"image 2 is in .*one\.jsonl and again in .*two"):
        merge_shards([one, two], tmp_path, (1, 2))
    assert not (tmp_path / "bbox.json").exists()
