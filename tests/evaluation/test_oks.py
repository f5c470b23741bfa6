import contextlib
import io
import json
import math

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params

from pet.config import default_cfg
from pet.evaluation.coco import KEYPOINT_FIGURES, evaluate_coco, format_metrics, write_metrics
from pet.evaluation.oks import check_sigmas
from pet.evaluation.results import image_results, merge_shards, write_shard
from pet.structures import Detections

ONE = pytest.approx(1.0)
SIGMAS = (0.05, 0.1)
COCO_SIGMAS = default_cfg().KRCNN.SIGMAS


def person(number, image_id, points, area=10000.0, **fields):
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [10, 10, 100, 100],
        "area": area,
        "iscrowd": 0,
        "keypoints": points,
        "num_keypoints": sum(v > 0 for v in points[2::3]),
    } | fields


def found(image_id, points, score):
    return {"image_id": image_id, "category_id": 1, "keypoints": points, "score": score}


@pytest.fixture
def score(tmp_path):
    """Return a function that scores records on annotations of images 1 and 2."""

    def run(annotations, records, sigmas=SIGMAS):
        content = {
            "images": [{"id": n, "width": 300, "height": 200} for n in (1, 2)],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person"}],
        }
        (tmp_path / "truth.json").write_text(json.dumps(content))
        (tmp_path / "keypoints.json").write_text(json.dumps(records))
        files = {"keypoints": tmp_path / "keypoints.json"}
        return evaluate_coco(tmp_path / "truth.json", files, (1, 2), ("person",), (1,), sigmas)

    return run


def test_cocos_sigmas_are_pycocotools():
    assert Params("keypoints").kpt_oks_sigmas.tolist() == pytest.approx(COCO_SIGMAS)


def test_sigmas_for_the_points_of_the_data_set():
    check_sigmas(2, SIGMAS)
    with pytest.raises(ValueError, match=r"each of the 17 points .* KRCNN\.SIGMAS has 2; give 17"):
        check_sigmas(17, SIGMAS)


@pytest.mark.parametrize("sigma", [0, -0.1, float("nan"), float("inf")])
def test_sigmas_that_no_point_could_meet_are_refused(sigma):
    with pytest.raises(ValueError, match=r"KRCNN\.SIGMAS must be positive numbers"):
        check_sigmas(2, (0.05, sigma))


@pytest.mark.parametrize("area", [0, 1, -5, "x", None, "missing"])
def test_an_area_that_cannot_be_meant_is_that_of_the_box(score, area):
    truth = [person(1, 1, [20, 20, 2, 50, 50, 1], area)]
    if area == "missing":
        del truth[0]["area"]
    records = [found(1, [30, 20, 1, 50, 50, 1], 0.9)]
    expected = score([person(1, 1, [20, 20, 2, 50, 50, 1], 100 * 100)], records)
    assert score(truth, records)["keypoints"] == expected["keypoints"]
    assert pytest.approx(0.7) == expected["keypoints"].AP


def test_small_objects_count_among_all(score):
    truth = [person(1, 1, [20, 20, 2, 50, 50, 1], 500.0)]
    metrics = score(truth, [found(1, [20, 20, 1, 50, 50, 1], 0.9)])["keypoints"]
    assert (metrics.AP, metrics.APm, metrics.APl) == (ONE, -1, -1)


def test_similarity_worked_out_by_hand(score):
    # One of two points is off by 10 pixels: exp(-10² / (2 * area * (2 * 0.05)²)) = exp(-0.5), and
    # the mean with the other one's 1 is 0.803, above seven of the ten thresholds.
    assert (math.exp(-0.5) + 1) / 2 == pytest.approx(0.803, abs=1e-3)
    truth = [person(1, 1, [20, 20, 2, 50, 50, 1])]
    metrics = score(truth, [found(1, [30, 20, 1, 50, 50, 1], 0.9)])["keypoints"]
    assert (metrics.AP, metrics.APl, metrics.AR) == (pytest.approx(0.7),) * 3
    assert (metrics.AP50, metrics.AP75, metrics.APm) == (ONE, ONE, -1)
    assert metrics.per_class == {"person": pytest.approx(0.7)}


def test_points_that_are_not_labelled_do_not_count(score):
    truth = [
        person(1, 1, [20, 20, 2, 0, 0, 0]),
        person(2, 2, [0, 0, 0, 0, 0, 0]),
        person(3, 2, [90, 90, 2, 80, 80, 2]),
    ]
    records = [found(1, [20, 20, 1, 200, 1, 1], 0.9), found(2, [90, 90, 1, 80, 80, 1], 0.8)]
    assert score(truth, records)["keypoints"].AP == ONE
    # An annotation that says nothing of points counts like one without labelled ones.
    del truth[1]["keypoints"], truth[1]["num_keypoints"]
    assert score(truth, records)["keypoints"].AP == ONE


def test_an_object_with_hidden_points_alone_counts(score):
    truth = [person(1, 1, [20, 20, 1, 50, 50, 1])]
    assert score(truth, [found(1, [20, 20, 1, 50, 50, 1], 0.9)])["keypoints"].AP == ONE


def test_the_figures_are_pycocotools(score, tmp_path):
    rng = np.random.default_rng(0)
    truth, records = [], []
    for number in range(1, 41):
        points = np.concatenate([rng.uniform(0, 200, (17, 2)), rng.integers(0, 3, (17, 1))], 1)
        area = float(rng.uniform(500, 30000))
        truth.append(person(number, 1 + number % 2, points.ravel().tolist(), area))
        near = points + rng.normal(0, 6, points.shape) * [1, 1, 0]
        records.append(found(1 + number % 2, near.ravel().tolist(), float(rng.random())))
    metrics = score(truth, records, COCO_SIGMAS)["keypoints"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        coco = COCO(tmp_path / "truth.json")
        evaluation = COCOeval(coco, coco.loadRes(str(tmp_path / "keypoints.json")), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert [getattr(metrics, name) for name in KEYPOINT_FIGURES] == list(evaluation.stats)
    assert 0.1 < metrics.AP < 0.9
    lines = printed.getvalue().rstrip().splitlines()[-10:]
    assert metrics.summary.splitlines() == lines
    assert format_metrics("keypoints", metrics).splitlines()[1:11] == lines
    write_metrics(tmp_path / "m.json", {"keypoints": metrics})
    written = json.loads((tmp_path / "m.json").read_text())["keypoints"]
    assert written["AP"] == metrics.AP and list(written)[:10] == list(KEYPOINT_FIGURES)


def test_no_detections_score_zero(score, caplog):
    metrics = score([person(1, 1, [20, 20, 2, 50, 50, 1])], [])["keypoints"]
    assert metrics.AP == 0 and "no detections at all" in caplog.text


def test_numbers_of_points_that_differ(score):
    truth = [person(1, 1, [20, 20, 2, 50, 50, 1])]
    with pytest.raises(ValueError, match=r"differ in their number of keypoints: 1, 2"):
        score(truth, [found(1, [1, 1, 1], 0.5)])
    with pytest.raises(
        ValueError, match=r"truth\.json: annotation 7 of image 2 has 3 keypoints, .* image 1 has 2"
    ):
        score([*truth, person(7, 2, [1] * 9)], [])
    with pytest.raises(ValueError, match=r"each of the 2 points"):
        score(truth, [], (0.1,))


@pytest.mark.parametrize("points", [[1, 2, "x"], [1, 2], "1 2 2", [1, 2, float("nan")], 5])
def test_keypoints_that_are_no_numbers_are_named(score, points):
    truth = [person(1, 1, [20, 20, 2, 50, 50, 1]), person(7, 2, [0] * 6, keypoints=points)]
    with pytest.raises(
        ValueError, match=r"truth\.json: annotation 7 of image 2 has keypoints other"
    ):
        score(truth, [])


def test_annotations_without_keypoints_say_so(score):
    truth = [person(1, 1, [])]
    with pytest.raises(ValueError, match=r"has keypoints.*MODEL\.KEYPOINT_ON False"):
        score(truth, [])


def test_results_need_keypoints(score):
    record = found(1, [1, 1, 1, 2, 2, 1], 0.5)
    record["bbox"] = record.pop("keypoints")
    with pytest.raises(ValueError, match="score and keypoints"):
        score([person(1, 1, [20, 20, 2, 50, 50, 1])], [record])


def test_cocos_people_found_as_annotated_score_one(coco_mini, tmp_path):
    file = coco_mini / "annotations/person_keypoints_val2017.json"
    content = json.loads(file.read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    results = []
    for image_id, size in sizes.items():
        people = [a for a in content["annotations"] if a["image_id"] == image_id]
        people = [a for a in people if a["num_keypoints"] and not a["iscrowd"]]
        points = torch.tensor([a["keypoints"] for a in people]).reshape(-1, 17, 3).float()
        points[..., :2] += 0.5  # what training with KRCNN.PIXEL_SHIFT 0.5 makes of them
        boxes = torch.tensor([a["bbox"] for a in people]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        ones = torch.ones(len(people))
        detections = Detections(boxes, ones, ones.long(), size, keypoints=points)
        results.append(image_results(image_id, detections, (1,), keypoint_shift=0.5))
    write_shard(tmp_path / "a.jsonl", results)
    files = merge_shards([tmp_path / "a.jsonl"], tmp_path, list(sizes), ("keypoints",))
    found = evaluate_coco(file, files, list(sizes), ("person",), (1,), COCO_SIGMAS)
    metrics = found["keypoints"]
    assert metrics.AP == metrics.APm == metrics.APl == metrics.AR == ONE
