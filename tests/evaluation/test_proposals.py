import json
import logging

import pytest

from pet.evaluation.coco import write_metrics
from pet.evaluation.proposals import evaluate_proposals

NAMES = {3: "cat", 18: "dog"}
ONE = pytest.approx(1.0)


def annotation(number, image_id, box, category_id, **fields):
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": box,
        "area": box[2] * box[3],
        **fields,
    }


def proposal(image_id, box, score):
    return {"image_id": image_id, "category_id": 3, "bbox": box, "score": score}


@pytest.fixture
def evaluate(tmp_path):
    """Return a function that scores proposals on annotations of the images 1 and 2."""

    def run(annotations, proposals):
        content = {
            "images": [{"id": n, "width": 300, "height": 200} for n in (1, 2)],
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for number, name in NAMES.items()],
        }
        (tmp_path / "truth.json").write_text(json.dumps(content))
        (tmp_path / "bbox.json").write_text(json.dumps(proposals))
        files = tmp_path / "truth.json", tmp_path / "bbox.json"
        return evaluate_proposals(*files, [1, 2], list(NAMES))

    return run


SMALL, MEDIUM, LARGE = [10, 10, 20, 20], [50, 50, 40, 40], [100, 20, 150, 150]
TRUTH = [
    annotation(1, 1, SMALL, 3),
    annotation(2, 1, MEDIUM, 18),
    annotation(3, 2, LARGE, 18),
]


def test_objects_of_every_class_are_found(evaluate):
    metrics = evaluate(TRUTH, [proposal(1, SMALL, 0.9), proposal(1, MEDIUM, 0.8)])
    assert metrics.AR100 == metrics.AR1000 == pytest.approx(2 / 3)
    assert (metrics.ARs100, metrics.ARm100, metrics.ARl100) == (ONE, ONE, 0)
    assert metrics.ARl1000 == 0


def test_an_overlap_counts_for_the_thresholds_up_to_it(evaluate):
    # 150 x 117 of 150 x 150 is 0.78: found at 0.50, 0.55 ... 0.75, six of ten.
    metrics = evaluate(TRUTH[2:], [proposal(2, [100, 20, 150, 117], 0.5)])
    assert pytest.approx(0.6) == metrics.AR100
    assert metrics.ARs100 == -1  # there are none


def test_the_best_hundred_and_thousand_count(evaluate):
    # A hundred better ones miss.
    wrong = [proposal(1, [0, 0, 5, 5 + n / 100], 0.9) for n in range(100)]
    metrics = evaluate(TRUTH[:1], [*wrong, proposal(1, SMALL, 0.1)])
    assert metrics.AR100 == 0
    assert metrics.AR1000 == ONE


def test_crowds_do_not_count(evaluate):
    metrics = evaluate([*TRUTH[:1], annotation(9, 2, LARGE, 3, iscrowd=1)], [])
    assert metrics.AR1000 == 0 and metrics.ARl1000 == -1


def test_no_proposals_and_no_objects(evaluate, caplog):
    assert evaluate(TRUTH, []).AR1000 == 0
    with caplog.at_level(logging.WARNING):
        assert evaluate([], []).AR1000 == -1
    assert "no annotations" in caplog.text


def test_the_figures_are_written_and_logged(evaluate, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        metrics = evaluate(TRUTH, [proposal(2, LARGE, 0.9)])
    write_metrics(tmp_path / "metrics.json", {"proposals": metrics})
    content = json.loads((tmp_path / "metrics.json").read_text())["proposals"]
    assert set(content) == {f"AR{letter}{n}" for letter in ("", *"sml") for n in (100, 1000)}
    assert content["AR1000"] == pytest.approx(1 / 3)
    assert "area=   all | maxDets=1000 ] = 0.333" in caplog.text


def test_foreign_images_are_refused(evaluate):
    with pytest.raises(ValueError, match="1 images that are not evaluated"):
        evaluate(TRUTH, [proposal(7, SMALL, 0.9)])
