import json
import logging
from dataclasses import asdict

import numpy as np
import pytest

from pet.evaluation.coco import evaluate_coco, write_metrics
from pet.evaluation.lvis import FIGURES, evaluate_lvis, warn_of_low_limit
from tests.evaluation.lvis_cases import (
    CATEGORIES,
    NAMES,
    as_masks,
    detection,
    lvis_content,
    lvis_image,
    lvis_object,
    random_case,
)

ANT, BEE, COW = CATEGORIES[:3]  # rare, common and frequent
LEFT, RIGHT, LOW = (10, 10, 50, 50), (100, 10, 50, 50), (10, 100, 50, 50)


@pytest.fixture
def score(tmp_path):
    """Return an evaluation of detections, in place of which masks of the same form may come."""

    def evaluate(content, records, kind="bbox", scorer=evaluate_lvis):
        (tmp_path / "truth.json").write_text(json.dumps(content))
        result = tmp_path / f"{kind}.json"
        result.write_text(json.dumps(as_masks(records) if kind == "segm" else records))
        image_ids = [image["id"] for image in content["images"]]
        return scorer(tmp_path / "truth.json", {kind: result}, image_ids, NAMES, CATEGORIES)[kind]

    return evaluate


# By hand -----------------------------------------------------------------------------------------

THREE_IMAGES = lvis_content(
    [lvis_image(1, negative=[BEE]), lvis_image(2, not_exhaustive=[ANT]), lvis_image(3)],
    [
        lvis_object(1, 1, ANT, LEFT),
        lvis_object(2, 2, ANT, LEFT),
        lvis_object(3, 2, BEE, RIGHT),
        lvis_object(4, 3, BEE, RIGHT),
        lvis_object(5, 3, COW, LEFT),
    ],
)
FOUND = [
    detection(3, ANT, LOW, 0.95),  # not verified in this image: dropped
    detection(1, ANT, LEFT, 0.9),  # right
    detection(2, ANT, LOW, 0.85),  # not exhaustive, so it is perhaps right: ignored
    detection(1, ANT, LOW, 0.8),  # wrong
    detection(2, ANT, LEFT, 0.7),  # right
    detection(1, BEE, RIGHT, 0.9),  # of a class that the image certainly lacks: wrong
    detection(2, BEE, RIGHT, 0.8),  # right; the other bee is missed
    detection(3, COW, (10, 10, 36, 50), 0.5),  # right up to an IoU of 0.72
]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_three_images_worked_out_by_hand(score, kind):
    metrics = score(THREE_IMAGES, FOUND, kind)
    # Right, wrong, right: precision 1 at the recalls 0.00 to 0.50, and 2/3 at the other 50.
    ants = (51 + 50 * 2 / 3) / 101
    bees = 51 / 2 / 101  # wrong, right
    assert metrics.per_class == {
        **dict.fromkeys(NAMES),
        "ant": pytest.approx(ants),
        "bee": pytest.approx(bees),
        "cow": pytest.approx(0.5),
    }
    expected = {
        "AP": (ants + bees + 0.5) / 3,
        "AP50": (ants + bees + 1) / 3,
        "AP75": (ants + bees) / 3,
        "APm": (ants + bees + 0.5) / 3,  # all objects are of a medium size
        **{"APr": ants, "APc": bees, "APf": 0.5},
        **{"AR300": 2 / 3, "ARm": 2 / 3},  # 1, 0.5 and 0.5
        **dict.fromkeys(("APs", "APl", "ARs", "ARl"), -1),
    }
    assert {name: getattr(metrics, name) for name in FIGURES} == pytest.approx(expected)


def test_coco_counts_all_of_them(score):
    """The classes that LVIS does not count are wrong for COCO."""
    metrics = score(THREE_IMAGES, FOUND, scorer=evaluate_coco)
    # Wrong, right, wrong, wrong, right.
    assert metrics.per_class["ant"] == pytest.approx((51 / 2 + 50 * 2 / 5) / 101)


@pytest.mark.parametrize("category", [BEE, COW], ids=["negative", "not verified"])
def test_the_best_300_of_an_image_are_counted_before_classes_are_dropped(score, category):
    content = lvis_content([lvis_image(1, negative=[BEE])], [lvis_object(1, 1, ANT, LEFT)])
    better = [detection(1, category, LOW, 0.9)] * 299
    last = detection(1, ANT, LEFT, 0.5)
    assert score(content, [*better, last]).AR300 == 1
    assert score(content, [last, *better, better[0]]).AR300 == 0
    # Of equal scores the first in the file counts.
    even = {**last, "score": 0.9}
    assert score(content, [even, *better, better[0]]).AR300 == 1


def test_what_has_no_area_does_not_count(score):
    content = lvis_content(
        [lvis_image(1), lvis_image(2)],
        [lvis_object(1, 1, ANT, LEFT), lvis_object(2, 2, ANT, LEFT, area=0)],
    )
    # In image 2 ants are not verified then.
    found = [detection(1, ANT, (5, 5, 0, 9), 0.9), detection(2, ANT, LEFT, 0.8)]
    metrics = score(content, [*found, detection(1, ANT, LEFT, 0.7)])
    figures = [metrics.AP, metrics.AR300]
    assert figures == pytest.approx([1, 1])


def test_nothing_found_and_nothing_to_find(score, caplog):
    assert [getattr(score(THREE_IMAGES, []), name) for name in ("AP", "APr", "AR300")] == [0, 0, 0]
    assert "no detections at all" in caplog.text
    content = lvis_content([lvis_image(1, negative=[ANT])], [])
    metrics = score(content, [detection(1, ANT, LEFT, 0.9)])
    assert {getattr(metrics, name) for name in FIGURES} == {-1}
    assert set(metrics.per_class.values()) == {None}
    assert "the images have no annotations" in caplog.text


def test_only_the_images_asked_for_count(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(THREE_IMAGES))
    (tmp_path / "bbox.json").write_text(json.dumps([detection(1, ANT, LEFT, 0.9)]))
    files = {"bbox": tmp_path / "bbox.json"}
    metrics = evaluate_lvis(tmp_path / "truth.json", files, [1], NAMES, CATEGORIES)["bbox"]
    assert metrics.AR300 == 1 and metrics.per_class["bee"] is None
    with pytest.raises(ValueError, match="there are no images to evaluate"):
        evaluate_lvis(tmp_path / "truth.json", files, [], NAMES, CATEGORIES)


def test_the_figures_are_written(score, tmp_path):
    metrics = score(THREE_IMAGES, FOUND)
    write_metrics(tmp_path / "metrics.json", {"bbox": metrics})
    written = json.loads((tmp_path / "metrics.json").read_text())["bbox"]
    assert list(written) == [*FIGURES, "per_class"]
    assert written["APr"] == metrics.APr
    lines = dict(line.split() for line in metrics.summary.splitlines())
    assert lines == {name: f"{asdict(metrics)[name]:.3f}" for name in FIGURES}


# Beside lvis-api ---------------------------------------------------------------------------------

# Seed, number of detections more in the first image, kind -> FIGURES by lvis-api 0.5.3.
BY_LVIS_API = {
    (1, 0, "bbox"): [
        *(0.141936193619, 0.377337733773, 0.017161716172, 0.186820682068, -1.0, 0.0),
        *(0.266336633663, 0.13702970297, 0.022442244224),
        *(0.202777777778, 0.247222222222, -1.0, 0.0),
    ],
    (1, 0, "segm"): [
        *(0.138327832783, 0.377337733773, 0.017161716172, 0.183212321232, -1.0, 0.0),
        *(0.266336633663, 0.137425742574, 0.011221122112),
        *(0.183333333333, 0.227777777778, -1.0, 0.0),
    ],
    (2, 400, "bbox"): [
        *(0.081862635312, 0.146674747453, 0.089699827677),
        *(0.035206749391, 0.479643310485, 0.383333333333),
        *(0.042714060932, 0.013633663366, 0.153447666195),
        *(0.264795918367, 0.069523809524, 0.69, 0.9),
    ],
    (2, 400, "segm"): [
        *(0.08136057202, 0.149503601767, 0.089699827677),
        *(0.033739589132, 0.494643310485, 0.408333333333),
        *(0.042739606972, 0.015325082508, 0.151131541726),
        *(0.273129251701, 0.070238095238, 0.69, 1.0),
    ],
}


@pytest.mark.parametrize("case", BY_LVIS_API, ids=str)
def test_figures_of_lvis_api(score, case):
    seed, crowd, kind = case
    metrics = score(*random_case(seed, crowd=crowd), kind)
    found = [getattr(metrics, name) for name in FIGURES]
    assert found == pytest.approx(BY_LVIS_API[case], abs=1e-11)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(6))
def test_all_digits_are_those_of_lvis_api(score, tmp_path, monkeypatch, seed, kind):
    lvis = pytest.importorskip("lvis")
    monkeypatch.setattr(np, "float", float, raising=False)  # which NumPy had before 1.24
    content, records = random_case(seed, crowd=400 if seed == 0 else 0)
    metrics = score(content, records, kind)
    files = str(tmp_path / "truth.json"), str(tmp_path / f"{kind}.json")
    evaluation = lvis.LVISEval(*files, kind)
    evaluation.run()
    expected = {name: float(figure) for name, figure in evaluation.get_results().items()}
    found = {
        name: getattr(metrics, name.replace("@300", "")) for name in expected if "AR@" not in name
    }
    assert found | {"AR@300": metrics.AR300} == expected


# Errors and warnings -----------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["neg_category_ids", "not_exhaustive_category_ids"])
def test_an_image_without_lists(score, key):
    content = json.loads(json.dumps(THREE_IMAGES))
    del content["images"][1][key]
    with pytest.raises(ValueError, match=rf"truth\.json: images, id 2: there is no list '{key}'"):
        score(content, FOUND)


def test_a_class_without_frequency(score):
    content = json.loads(json.dumps(THREE_IMAGES))
    del content["categories"][6]["frequency"]  # which has no annotations
    score(content, FOUND)
    content["categories"][1]["frequency"] = "common"
    with pytest.raises(ValueError, match=r"categories, id 3: 'frequency' is 'common', not one of"):
        score(content, FOUND)


def test_a_low_limit_is_named(caplog):
    warn_of_low_limit("mine", 300, "FAST_RCNN.DETECTIONS_PER_IMG")
    assert not caplog.records
    warn_of_low_limit("mine", 100, "FAST_RCNN.DETECTIONS_PER_IMG")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    for part in ("mine", "FAST_RCNN.DETECTIONS_PER_IMG", "at most 100", "to 300", "0.0001"):
        assert part in caplog.text
