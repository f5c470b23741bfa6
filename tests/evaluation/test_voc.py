"""VOC's average precision, by hand and against a computation from the definition."""

import json
import logging

import numpy as np
import pytest

from pet.annotations import annotations_from_records
from pet.evaluation.coco import write_metrics
from pet.evaluation.voc import area, eleven_points, evaluate_voc

NAMES, IDS = ("cat", "dog"), (3, 18)
BOX, FAR = (10, 10, 40, 20), (200, 100, 30, 30)  # x, y, width, height


def thing(image_id, box=BOX, category=3, difficult=False):
    return {"image_id": image_id, "category_id": category, "bbox": box, "ignore": difficult}


def found(image_id, score, box=BOX, category=3):
    return {"image_id": image_id, "category_id": category, "bbox": list(box), "score": score}


def means(metrics):
    return metrics.AP50_2007, metrics.AP50_2010


@pytest.fixture
def evaluate(tmp_path):
    """Return a function that scores detections on objects in the images 1 to 4."""

    def run(objects, detections):
        images = [
            {"id": n, "file_name": f"{n}.jpg", "width": 300, "height": 200} for n in range(1, 5)
        ]
        categories = [{"id": n, "name": name} for n, name in zip(IDS, NAMES, strict=True)]
        truth = annotations_from_records("truth", images, categories, objects)
        (tmp_path / "bbox.json").write_text(json.dumps(detections))
        return evaluate_voc(truth, tmp_path / "bbox.json", (1, 2, 3, 4), NAMES, IDS)

    return run


# Objects in images, detections -> AP of 2007 and 2010 of the class. Scores fall.
CASES = {
    "perfect": ([1, 2], [(1, BOX), (2, BOX)], 1, 1),
    "none found": ([1, 2], [], 0, 0),
    # Precisions 1 at recall 1/2: 6 of the 11 points.
    "one missed": ([1, 2], [(1, BOX)], 6 / 11, 1 / 2),
    # The second detection of an object is wrong: precisions 1, 1/2, 2/3.
    "one found twice": ([1, 2], [(1, BOX), (1, BOX), (2, BOX)], (6 + 5 * 2 / 3) / 11, 5 / 6),
    "a wrong one first": ([1], [(1, FAR), (1, BOX)], 1 / 2, 1 / 2),
    "a wrong one last": ([1], [(1, BOX), (1, FAR)], 1, 1),
    "in an image without objects": ([1], [(2, BOX), (1, BOX)], 1 / 2, 1 / 2),
    # Precisions 1, 1/2, 2/3, 3/4: the best at the recalls 2/3 and 1 is 3/4.
    "later ones raise": (
        [1, 2, 3],
        [(1, BOX), (4, BOX), (2, BOX), (3, BOX)],
        (4 + 7 * 3 / 4) / 11,
        1 / 3 + 2 / 3 * 3 / 4,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_average_precision_by_hand(evaluate, case):
    objects, detections, of_2007, of_2010 = CASES[case]
    records = [found(image, 1 - n / 9, box) for n, (image, box) in enumerate(detections)]
    metrics = evaluate([thing(n) for n in objects], records)
    assert metrics.per_class_2007 == {"cat": pytest.approx(of_2007), "dog": None}
    assert metrics.per_class_2010 == {"cat": pytest.approx(of_2010), "dog": None}
    # A class without objects is left out of the mean.
    assert means(metrics) == pytest.approx((of_2007, of_2010))


def test_a_recall_of_exactly_three_tenths_reaches_the_point():
    # 3 / 10 is below 0.1 * 3 in floating point.
    right, wrong = np.ones(3, bool), np.zeros(3, bool)
    assert eleven_points(right, wrong, 10) == pytest.approx(4 / 11)
    assert area(right, wrong, 10) == pytest.approx(3 / 10)


def test_difficult_objects_count_neither_way(evaluate):
    objects = [thing(1), thing(1, FAR, difficult=True)]
    records = [found(1, 0.9, FAR), found(1, 0.8, FAR), found(1, 0.7)]
    metrics = evaluate(objects, records)
    assert means(metrics) == (1.0, 1.0)
    assert evaluate(objects, records[2:]).AP50_2010 == 1.0
    assert evaluate(objects, records[:2]).AP50_2010 == 0.0


def test_a_class_of_difficult_objects_alone_has_no_figure(evaluate):
    metrics = evaluate([thing(1, difficult=True), thing(1, category=18)], [found(1, 0.9)])
    assert metrics.per_class_2010 == {"cat": None, "dog": 0.0}
    assert metrics.AP50_2007 == 0.0


def test_each_detection_takes_the_object_with_the_highest_overlap(evaluate):
    # The second overlaps the first object by more than half, but the difficult one by more.
    objects = [thing(1, (0, 0, 40, 40)), thing(1, (10, 0, 40, 40), difficult=True)]
    assert evaluate(objects, [found(1, 0.9, (7, 0, 40, 40))]).AP50_2010 == 0.0
    assert evaluate(objects, [found(1, 0.9, (3, 0, 40, 40))]).AP50_2010 == 1.0
    # Two objects overlap, and both detections fit the first best: the second one is wrong.
    objects = [thing(1, (0, 0, 40, 40)), thing(1, (10, 0, 40, 40))]
    records = [found(1, 0.9, (1, 0, 40, 40)), found(1, 0.8, (2, 0, 40, 40))]
    assert evaluate(objects, records).AP50_2010 == 0.5


@pytest.mark.parametrize(("width", "score"), [(20, 1.0), (19, 0.0)])
def test_an_overlap_of_one_half_is_enough(evaluate, width, score):
    metrics = evaluate([thing(1)], [found(1, 0.5, (10, 10, width, 20))])
    assert metrics.per_class_2010["cat"] == score


def test_the_overlap_is_that_of_the_development_kit(evaluate):
    # VOC's corners 1, 1, 2, 2 and 1, 1, 2, 1 share two of four pixels. Without the + 1 of the kit
    # they would share nothing.
    objects = [thing(1, (0, 0, 2, 2))]
    assert evaluate(objects, [found(1, 0.5, (0, 0, 2, 1))]).AP50_2010 == 1.0


def test_detections_of_one_score_take_part_in_order_of_the_file(evaluate):
    records = [found(1, 0.5, FAR), found(1, 0.5)]
    assert evaluate([thing(1)], records).AP50_2010 == 0.5
    assert evaluate([thing(1)], records[::-1]).AP50_2010 == 1.0


def test_means_and_log(evaluate, caplog):
    caplog.set_level(logging.INFO)
    metrics = evaluate([thing(1), thing(1, category=18)], [found(1, 0.9)])
    assert metrics.per_class_2007 == {"cat": 1.0, "dog": 0.0}
    assert means(metrics) == (0.5, 0.5)
    assert "VOC2007, 11 points      ] = 0.500" in caplog.text and "left out" not in caplog.text
    evaluate([thing(1)], [found(1, 0.9)])
    assert "1 classes without objects are left out of the mean: dog" in caplog.text


def test_no_objects_at_all(evaluate):
    metrics = evaluate([], [found(1, 0.9)])
    assert means(metrics) == (-1, -1)
    assert metrics.per_class_2007 == {"cat": None, "dog": None}


def test_no_images(tmp_path):
    with pytest.raises(ValueError, match="no images to evaluate"):
        evaluate_voc(tmp_path / "a.json", tmp_path / "b.json", (), NAMES, IDS)


def test_figures_are_written(evaluate, tmp_path):
    write_metrics(tmp_path / "metrics.json", {"voc": evaluate([thing(1)], [found(1, 0.9)])})
    assert json.loads((tmp_path / "metrics.json").read_text())["voc"] == {
        "AP50_2007": 1.0,
        "AP50_2010": 1.0,
        "per_class_2007": {"cat": 1.0, "dog": None},
        "per_class_2010": {"cat": 1.0, "dog": None},
    }


# The definition ----------------------------------------------------------------------------------


def iou_of_pixels(one, other):
    """Return the IoU of boxes of whole pixels, by counting their pixels."""

    def pixels(box):
        x, y, width, height = box
        return {(a, b) for a in range(x, x + width) for b in range(y, y + height)}

    return len(pixels(one) & pixels(other)) / len(pixels(one) | pixels(other))


def defined(objects, detections):
    """Return AP of 2007 and 2010 of one class, from the definition, for each threshold anew."""
    taken, outcome = set(), []
    for each in sorted(detections, key=lambda each: -each["score"]):
        best, own = 0.0, None
        for n, one in enumerate(objects):
            if one["image_id"] == each["image_id"]:
                overlap = iou_of_pixels(one["bbox"], each["bbox"])
                if overlap > best:
                    best, own = overlap, n
        if own is None or best < 0.5:
            outcome.append("wrong")
        elif objects[own]["ignore"]:
            outcome.append("")
        else:
            outcome.append("wrong" if own in taken else "right")
            taken.add(own)
    count = sum(not one["ignore"] for one in objects)
    points = []  # recall and precision of the first so many
    for n in range(1, len(outcome) + 1):
        right, wrong = outcome[:n].count("right"), outcome[:n].count("wrong")
        if right + wrong:
            points.append((right / count, right / (right + wrong)))
    best_at = lambda least: max((p for r, p in points if r >= least - 1e-9), default=0.0)  # noqa: E731
    of_2007 = sum(best_at(k / 10) for k in range(11)) / 11
    return of_2007, sum(best_at(k / count) for k in range(1, count + 1)) / count


@pytest.mark.parametrize("seed", range(12))
def test_random_detections_equal_the_definition(evaluate, seed):
    rng = np.random.default_rng(seed)

    def box():
        return [int(v) for v in (*rng.integers(0, 14, 2), *rng.integers(4, 12, 2))]

    objects = [
        thing(int(rng.integers(1, 5)), box(), difficult=bool(rng.random() < 0.3)) for _ in range(12)
    ]
    objects.append(thing(1, box()))
    scores = rng.permutation(40) / 40
    near = [objects[int(n)] for n in rng.integers(0, len(objects), 40)]
    records = []
    for one, score in zip(near, scores.tolist(), strict=True):
        moved = np.array(one["bbox"]) + rng.integers(-2, 3, 4)
        records.append(found(one["image_id"], score, moved.clip((0, 0, 2, 2)).tolist()))
    metrics = evaluate(objects, records)
    of_2007, of_2010 = defined(objects, records)
    assert means(metrics) == pytest.approx((of_2007, of_2010))
    assert 0 < of_2010 < 1
