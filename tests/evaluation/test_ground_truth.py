"""What is scored by: the same as pycocotools' own reading, and the same as is trained on."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pet.annotations import read_annotations
from pet.data.datasets import CocoDataset
from pet.data.datasets.coco_keypoints import KeypointOptions
from pet.evaluation.coco import FIGURES, evaluate_coco
from pet.evaluation.ground_truth import ground_truth
from tests.annotations.damage import sound_content


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_figures_equal_those_of_pycocotools_alone(coco_mini, tmp_path, kind):
    file = next((coco_mini / "annotations").glob("instances*.json"))
    rng = np.random.default_rng(0)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO(str(file))
        entries = list(theirs.anns.values())
        records = []
        for entry in entries:
            rle = theirs.annToRLE(entry)
            counts = rle["counts"]
            counts = counts.decode() if isinstance(counts, bytes) else counts
            parts = {
                "bbox": (np.array(entry["bbox"]) + rng.normal(0, 3, 4).clip(-9, 9)).tolist(),
                "segmentation": {"size": rle["size"], "counts": counts},
            }
            category = entry["category_id"] if rng.random() < 0.9 else entries[0]["category_id"]
            records.append(
                {
                    "image_id": entry["image_id"],
                    "category_id": category,
                    "score": float(rng.random()),
                    **parts,
                }
            )
        # Masks of other objects, as detections that are partly right.
        other = rng.permutation(len(records))
        for record, place in zip(records, other.tolist(), strict=True):
            if records[place]["image_id"] == record["image_id"]:
                record["segmentation"] = records[place]["segmentation"]
        results = tmp_path / "r.json"
        part = "bbox" if kind == "bbox" else "segmentation"
        keys = ("image_id", "category_id", "score", part)
        chosen = [{key: record[key] for key in keys} for record in records]
        results.write_text(json.dumps(chosen))
        evaluation = COCOeval(theirs, theirs.loadRes(chosen), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    categories = {each["id"]: each["name"] for each in theirs.cats.values()}
    metrics = evaluate_coco(
        file, {kind: results}, sorted(theirs.imgs), list(categories.values()), list(categories)
    )[kind]
    assert 0 < metrics.AP < 1
    found = [getattr(metrics, name) for name in FIGURES]
    np.testing.assert_allclose(found, evaluation.stats, rtol=0, atol=1e-12)


def test_what_crowds_have_for_keypoints_is_no_error(tmp_path):
    """Training passes crowds over, and so testing may not stop at them."""
    content = sound_content()
    content["annotations"][4]["keypoints"] = [1, 2]
    content["annotations"][5] |= {"iscrowd": 1, "keypoints": [1, 1, 2, 3, 3, 2]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    for is_train in (True, False):
        CocoDataset("small", tmp_path, path, is_train=is_train, keypoints=KeypointOptions())
    truth = ground_truth(read_annotations(path), "keypoints", [1, 4, 9])
    assert [entry["num_keypoints"] for entry in truth.anns.values()] == [2, 2, 2, 2, 0, 0, 2, 2]
    assert {len(entry["keypoints"]) for entry in truth.anns.values()} == {9}
