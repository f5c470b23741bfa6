import contextlib
import io
import json
import logging

import numpy as np
import pycocotools.mask as coco_mask
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pet.evaluation.coco import (
    FIGURES,
    evaluate_coco,
    format_metrics,
    format_per_class,
    write_metrics,
)

NAMES, CATEGORIES = ("cat", "dog"), (3, 18)
SIZES = {"width": 200, "height": 150}
ONE = pytest.approx(1.0)  # pycocotools divides by a little more than the count


def box_polygon(x, y, width, height):
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def annotation(number, image_id, box, category_id=3, **fields):
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": list(box),
        "segmentation": box_polygon(*box),
        "area": box[2] * box[3],
        "iscrowd": 0,
    } | fields


def found(image_id, box, score, category_id=3):
    return {"image_id": image_id, "category_id": category_id, "bbox": list(box), "score": score}


@pytest.fixture
def folder(tmp_path):
    """Return writers of annotation and result files, and an evaluation of them."""

    class Folder:
        truth = tmp_path / "truth.json"

        def annotate(self, annotations, images=(1, 2), sizes=SIZES):
            content = {
                "images": [{"id": image_id} | sizes for image_id in images],
                "annotations": annotations,
                "categories": [
                    {"id": c, "name": n} for c, n in zip(CATEGORIES, NAMES, strict=True)
                ],
            }
            self.truth.write_text(json.dumps(content))

        def detect(self, records, iou_type="bbox"):
            path = tmp_path / f"{iou_type}.json"
            path.write_text(json.dumps(records))
            return {iou_type: path}

        def evaluate(self, result_files, image_ids=(1, 2)):
            return evaluate_coco(self.truth, result_files, image_ids, NAMES, CATEGORIES)

    return Folder()


def test_average_precision_worked_out_by_hand(folder):
    first, second = (10, 10, 40, 40), (100, 50, 60, 60)
    folder.annotate([annotation(1, 1, first), annotation(2, 1, second)])
    # Right, wrong, right: precision 1 up to recall 0.5 (51 of the 101 thresholds), then 2/3.
    records = [
        found(1, first, 0.9),
        found(1, (150, 120, 20, 20), 0.8),
        found(1, second, 0.7),
    ]
    metrics = folder.evaluate(folder.detect(records))["bbox"]
    expected = (51 + 50 * 2 / 3) / 101
    figures = [metrics.AP, metrics.AP50]
    assert figures == pytest.approx([expected] * 2)
    assert (metrics.AR1, metrics.AR10, metrics.AR100) == (0.5, 1.0, 1.0)
    assert (metrics.APs, metrics.APl) == (-1, -1)
    assert metrics.per_class == {"cat": pytest.approx(expected), "dog": None}


def test_a_loose_box_counts_at_the_thresholds_below_its_iou(folder):
    folder.annotate([annotation(1, 1, (0, 0, 100, 100))])
    metrics = folder.evaluate(folder.detect([found(1, (0, 0, 72, 100), 0.9)]))["bbox"]
    # Five of the ten thresholds: 0.50, 0.55, 0.60, 0.65 and 0.70.
    figures = [metrics.AP, metrics.APl, metrics.AP50, metrics.AP75]
    assert figures == pytest.approx([0.5, 0.5, 1, 0])


def test_perfect_detections_score_one(folder):
    boxes = {1: (5, 5, 20, 20), 2: (40, 30, 60, 60), 3: (20, 20, 120, 110)}
    folder.annotate([annotation(n, 1 + n % 2, box, CATEGORIES[n % 2]) for n, box in boxes.items()])
    bbox = [found(1 + n % 2, box, 0.5, CATEGORIES[n % 2]) for n, box in boxes.items()]
    segm = []
    for record in bbox:
        bits = np.zeros((150, 200), np.uint8, order="F")
        x, y, width, height = record["bbox"]
        bits[y : y + height, x : x + width] = 1
        rle = coco_mask.encode(bits)
        rle["counts"] = rle["counts"].decode()
        segm.append({k: v for k, v in record.items() if k != "bbox"} | {"segmentation": rle})
    metrics = folder.evaluate(folder.detect(bbox) | folder.detect(segm, "segm"))
    for kind in ("bbox", "segm"):
        for figure in ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100"):
            assert getattr(metrics[kind], figure) == ONE, (kind, figure)
        assert metrics[kind].per_class == {"cat": ONE, "dog": ONE}


def plain_pycocotools(truth, records, iou_type, image_ids):
    """Return the figures of pycocotools as its own demo calls it."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        coco = COCO(str(truth))
        coco.dataset.setdefault("info", {})
        evaluation = COCOeval(coco, coco.loadRes(records), iou_type)
        evaluation.params.imgIds = list(image_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, printed.getvalue()


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_figures_equal_plain_pycocotools(folder, iou_type, capsys):
    rng = np.random.default_rng(0)
    annotations, records = [], []
    for number in range(1, 41):
        box = [float(v) for v in (*rng.uniform(0, 80, 2), *rng.uniform(5, 70, 2))]
        image_id, category = int(rng.integers(1, 5)), CATEGORIES[int(rng.integers(2))]
        annotations.append(annotation(number, image_id, box, category, iscrowd=int(number == 9)))
        for _ in range(2):
            moved = [float(v) for v in np.abs(np.array(box) + rng.normal(0, 3, 4))]
            records.append(found(image_id, moved, float(rng.uniform()), category))
    if iou_type == "segm":
        for record in records:
            polygon = box_polygon(*record.pop("bbox"))
            rle = coco_mask.merge(coco_mask.frPyObjects(polygon, 150, 200))
            record["segmentation"] = {"size": rle["size"], "counts": rle["counts"].decode()}
    folder.annotate(annotations, images=(1, 2, 3, 4, 5))
    image_ids = (1, 2, 4)
    seen = [record for record in records if record["image_id"] in image_ids]
    metrics = folder.evaluate(folder.detect(seen, iou_type), image_ids)[iou_type]
    assert capsys.readouterr().out == ""
    stats, printed = plain_pycocotools(folder.truth, records, iou_type, image_ids)
    assert [getattr(metrics, name) for name in FIGURES] == stats.tolist()
    assert metrics.summary.splitlines() == printed.splitlines()[-12:]
    assert metrics.summary.startswith(" Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all |")
    assert np.mean(list(metrics.per_class.values())) == pytest.approx(metrics.AP)


def test_missing_fields_are_filled_in(folder):
    boxes = [(5, 5, 20, 20), (40, 30, 60, 60)]
    full = [annotation(n, 1, box) for n, box in enumerate(boxes, 1)]
    results = folder.detect([found(1, box, 0.9 - n / 10) for n, box in enumerate(boxes)])
    folder.annotate(full)
    expected = folder.evaluate(results)
    folder.annotate([{k: v for k, v in a.items() if k not in ("area", "iscrowd")} for a in full])
    assert folder.evaluate(results) == expected
    keys = ("id", "area", "iscrowd", "segmentation")
    folder.annotate([{k: v for k, v in a.items() if k not in keys} for a in full])
    assert folder.evaluate(results) == expected


def test_a_missing_area_is_that_of_the_mask(folder):
    # The box has 40 x 40 = 1600 pixels, which is medium; the triangle has 800, which is small.
    triangle = annotation(1, 1, (0, 0, 40, 40), segmentation=[[0, 0, 40, 0, 0, 40]])
    del triangle["area"]
    folder.annotate([triangle])
    metrics = folder.evaluate(folder.detect([found(1, (0, 0, 40, 40), 0.9)]))["bbox"]
    assert (metrics.AP, metrics.APs, metrics.APm) == (ONE, ONE, -1)


def test_annotations_numbered_from_zero_count(folder):
    folder.annotate([annotation(0, 1, (5, 5, 20, 20))])
    metrics = folder.evaluate(folder.detect([found(1, (5, 5, 20, 20), 0.9)]))["bbox"]
    assert metrics.AP == ONE


def test_no_detections_score_zero_with_a_warning(folder, caplog):
    folder.annotate([annotation(1, 1, (5, 5, 60, 60))])
    metrics = folder.evaluate(folder.detect([]) | folder.detect([], "segm"))
    for kind in ("bbox", "segm"):
        assert metrics[kind].AP == metrics[kind].APm == metrics[kind].AR100 == 0.0
        assert metrics[kind].per_class == {"cat": 0.0, "dog": None}
    assert "no detections at all" in caplog.text


@pytest.mark.parametrize("records", [[], [found(1, (5, 5, 20, 20), 0.9)]])
def test_no_annotations_score_minus_one_with_a_warning(folder, records, caplog):
    folder.annotate([])
    metrics = folder.evaluate(folder.detect(records))["bbox"]
    assert {getattr(metrics, name) for name in FIGURES} == {-1.0}
    assert "no annotations" in caplog.text


def test_foreign_images_and_categories_are_errors(folder):
    folder.annotate([annotation(1, 1, (5, 5, 20, 20))], images=(1, 2, 3))
    with pytest.raises(ValueError, match=r"1 images that are not evaluated.*\[3\]"):
        folder.evaluate(folder.detect([found(3, (5, 5, 20, 20), 0.9)]))
    with pytest.raises(ValueError, match=r"1 categories that are not evaluated.*\[4\]"):
        folder.evaluate(folder.detect([found(1, (5, 5, 20, 20), 0.9, 4)]))
    with pytest.raises(ValueError, match=r"not in the annotation file; the first ids are \[8\]"):
        folder.evaluate(folder.detect([]), image_ids=(1, 8))
    with pytest.raises(ValueError, match="no images to evaluate"):
        folder.evaluate(folder.detect([]), image_ids=())
    with pytest.raises(ValueError, match=r"no categories \[7\]; it has \[3, 18\]"):
        evaluate_coco(folder.truth, folder.detect([]), (1,), ("x",), (7,))


def test_files_that_are_missing_or_malformed_are_named(folder, tmp_path):
    nowhere = tmp_path / "nowhere.json"
    with pytest.raises(FileNotFoundError, match=r"no annotation file .*truth\.json"):
        folder.evaluate({})
    folder.truth.write_text("")
    with pytest.raises(ValueError, match=r"truth\.json is empty"):
        folder.evaluate({})
    folder.truth.write_text("[")
    with pytest.raises(ValueError, match=r"truth\.json is not JSON"):
        folder.evaluate({})
    folder.truth.write_text('{"images": [], "categories": []}')
    with pytest.raises(ValueError, match=r"truth\.json has no list 'annotations'"):
        folder.evaluate({})
    folder.annotate([])
    with pytest.raises(FileNotFoundError, match=r"no result file .*nowhere\.json"):
        folder.evaluate({"bbox": nowhere})
    nowhere.write_text("[")
    with pytest.raises(ValueError, match=r"nowhere\.json is not JSON"):
        folder.evaluate({"bbox": nowhere})
    nowhere.write_text('[{"image_id": 1}]')
    with pytest.raises(ValueError, match="must be a list of records with image_id"):
        folder.evaluate({"bbox": nowhere})


def test_malformed_annotations_are_named(folder):
    results = folder.detect([]) | folder.detect([], "segm")
    folder.annotate([annotation(5, 1, (5, 5, 20, 20), bbox=[1, 2])])
    with pytest.raises(
        ValueError, match=r"usable box: 1 with a bbox that is not four .*1 \(annotation 5\)"
    ):
        folder.evaluate(results)
    folder.annotate([annotation(5, 1, (5, 5, 20, 20), segmentation="round")])
    with pytest.raises(ValueError, match="1 with a segmentation that is neither polygons nor"):
        folder.evaluate(results)
    folder.annotate([annotation(5, 1, (5, 5, 20, 20))], sizes={})
    with pytest.raises(ValueError, match="image 1 has no height and width"):
        folder.evaluate(results)


def test_annotations_without_masks(folder, caplog):
    bare = annotation(1, 1, (5, 5, 20, 20), segmentation=[])
    results = folder.detect([], "segm")
    folder.annotate([bare])
    with pytest.raises(
        ValueError, match=r"no annotation .* has a usable segmentation.*MODEL.MASK_ON"
    ):
        folder.evaluate(results)
    folder.annotate([bare, annotation(2, 2, (5, 5, 20, 20))])
    assert folder.evaluate(results)["segm"].AP == 0.0
    assert "are left out of the mask scores, with no segmentation: image 1" in caplog.text


@pytest.mark.parametrize(
    ("iou_type", "change"),
    [
        ("bbox", {"score": "good"}),
        ("bbox", {"score": float("nan")}),
        ("bbox", {"bbox": [1, 2, 3]}),
        ("bbox", {"bbox": [1, 2, 3, None]}),
        ("bbox", {"bbox": "1 2 3 4"}),
        ("segm", {"segmentation": {"size": [150, 200], "counts": "5"}}),  # would never end
        ("segm", {"segmentation": {"size": [150, 200], "counts": [30000]}}),
        ("segm", {"segmentation": {"size": [200], "counts": "5"}}),
        ("segm", {"segmentation": [[1, 1, 5, 1, 5, 5]]}),
        ("keypoints", {"keypoints": [1, 2]}),
        ("keypoints", {"keypoints": [1, 2, "x"]}),
        ("keypoints", {"keypoints": 5}),
    ],
)
def test_records_that_cannot_be_scored_are_named(folder, iou_type, change):
    folder.annotate([annotation(1, 1, (5, 5, 20, 20), keypoints=[9, 9, 2])])
    rle = coco_mask.encode(np.ones((150, 200), np.uint8, order="F"))
    parts = {
        "segmentation": {"size": [150, 200], "counts": rle["counts"].decode()},
        "keypoints": [9, 9, 1],
    }
    good = found(1, (5, 5, 20, 20), 0.9) | parts
    with pytest.raises(ValueError, match=rf"{iou_type}\.json: record 1, of image 2, has no"):
        folder.evaluate(folder.detect([good, good | {"image_id": 2} | change], iou_type))


def test_more_objects_than_cocos_figures_count_are_said(folder, caplog):
    boxes = [(2 * n, 1, 2, 2) for n in range(101)]
    folder.annotate([annotation(n, 2, box) for n, box in enumerate(boxes[:100])], images=(1, 2))
    folder.evaluate(folder.detect([]), (2,))
    assert "more than 100 objects" not in caplog.text
    sizes = {"width": 300, "height": 150}
    folder.annotate([annotation(n, 2, box) for n, box in enumerate(boxes)], sizes=sizes)
    folder.evaluate(folder.detect([]), (2,))
    assert "1 images have more than 100 objects of one class, the most image 2 with 101" in (
        caplog.text
    )


def test_uncompressed_crowds_are_read(folder):
    runs = {"size": [150, 200], "counts": [0, 150 * 100, 150 * 100]}
    crowd = annotation(2, 1, (0, 0, 100, 150), segmentation=runs, iscrowd=1)
    alone = annotation(1, 1, (150, 50, 40, 40))
    folder.annotate([alone, crowd])
    records = [
        found(1, (150, 50, 40, 40), 0.5),
        found(1, (20, 20, 40, 40), 0.9),  # in the crowd: neither right nor wrong
    ]
    metrics = folder.evaluate(folder.detect(records))["bbox"]
    assert metrics.AP == ONE


def test_figures_are_logged_and_written(folder, tmp_path, caplog):
    folder.annotate([annotation(1, 1, (5, 5, 20, 20))])
    with caplog.at_level(logging.INFO, "pet"):
        metrics = folder.evaluate(folder.detect([found(1, (5, 5, 20, 20), 0.9)]))
    assert "COCO box scores (bbox):\n Average Precision" in caplog.text
    write_metrics(tmp_path / "metrics.json", metrics)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert list(written) == ["bbox"]
    assert list(written["bbox"]) == [*FIGURES, "per_class"]
    assert written["bbox"]["AP"] == ONE
    assert written["bbox"]["per_class"] == {"cat": ONE, "dog": None}


def test_the_table_of_classes_is_aligned():
    table = format_per_class({"a": 0.5, "long": None, "猫": 1.0, "b": 0.25}, width=31)
    assert table.splitlines() == [
        "  a     0.500    猫    1.000",
        "  long      -    b     0.250",
    ]
    assert format_per_class({}) == "  (no classes)"


def test_classes_of_one_name_are_told_apart(folder):
    folder.annotate([annotation(1, 1, (5, 5, 20, 20))])
    results = folder.detect([found(1, (5, 5, 20, 20), 0.9)])
    metrics = evaluate_coco(folder.truth, results, (1, 2), ("pet", "pet"), CATEGORIES)["bbox"]
    assert metrics.per_class == {"pet": ONE, "pet (18)": None}
    assert format_metrics("bbox", metrics).count("pet") == 2
