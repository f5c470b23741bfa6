import json
import shutil
import threading
from pathlib import Path

import pytest
import torch

from pet.engine import inference
from pet.engine.inference import _device_of, run_test
from pet.modeling.build import build_model
from pet.utils.seed import seed_all
from pet.visualization.draw import draw_detections
from tests.engine.tiny_run import tiny_cfg


@pytest.fixture
def folder(folder) -> Path:
    """Return a folder with a few shapes, and the weights of an untrained model in run/."""
    seed_all(0)
    model = build_model(cfg=tiny_cfg(folder, MODEL__NUM_CLASSES=6))
    (folder / "run").mkdir()
    torch.save(model.state_dict(), folder / "run" / "model_latest.pth")
    return folder


def results(folder: Path, kind: str) -> bytes:
    return (folder / "run" / "test" / "shapes_val" / f"{kind}.json").read_bytes()


def test_a_test_writes_results_scores_and_pictures(folder):
    run_test(tiny_cfg(folder, VIS__ENABLED=True, VIS__MAX_IMAGES=2, VIS__VIS_TH=0.0))
    boxes, masks = json.loads(results(folder, "bbox")), json.loads(results(folder, "segm"))
    assert len(boxes) == len(masks) > 0
    assert {record["image_id"] for record in boxes} <= {1, 2, 3, 4, 5}
    assert set(boxes[0]) == {"image_id", "category_id", "bbox", "score"}
    assert set(masks[0]) == {"image_id", "category_id", "segmentation", "score"}
    metrics = json.loads((folder / "run" / "test" / "shapes_val" / "metrics.json").read_text())
    assert 0 <= metrics["bbox"]["AP"] < 0.1 and 0 <= metrics["segm"]["AP"] < 0.1
    pictures = (folder / "run" / "vis" / "shapes_val").iterdir()
    assert {path.stem for path in pictures} == {"000001", "000002"}
    log = (folder / "run" / "log.txt").read_text()
    assert log.count(" Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all ") == 2
    assert log.count(" Average Recall ") == 12


def test_results_that_cannot_be_recorded_leave_nothing_behind(folder, monkeypatch):
    record = inference.image_results

    def fail(image_id, *args):
        if image_id == 3:
            raise ValueError(f"image {image_id} has a detection that is not a number")
        return record(image_id, *args)

    monkeypatch.setattr(inference, "image_results", fail)
    threads = threading.active_count()
    with pytest.raises(ValueError, match="image 3 has a detection that is not a number"):
        run_test(tiny_cfg(folder))
    assert threading.active_count() == threads
    assert not [path for path in (folder / "run" / "test").rglob("*") if path.is_file()]


def test_one_and_two_processes_write_equal_bytes(folder):
    run_test(tiny_cfg(folder, TEST__IMS_PER_GPU=2), nproc=1)
    one = results(folder, "bbox"), results(folder, "segm")
    shutil.rmtree(folder / "run" / "test")
    run_test(tiny_cfg(folder, TEST__IMS_PER_GPU=2), nproc=2)
    assert (results(folder, "bbox"), results(folder, "segm")) == one
    assert not list((folder / "run" / "test" / "shapes_val").glob("part_*"))


def test_processes_take_the_gpus_in_turn(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    every, second = torch.device("cuda"), torch.device("cuda", 1)
    assert [_device_of(rank, every).index for rank in range(3)] == [0, 1, 0]
    assert [_device_of(rank, second).index for rank in range(3)] == [1, 1, 1]


def test_no_detections_score_zero(folder):
    run_test(tiny_cfg(folder, FAST_RCNN__SCORE_THRESH=1.0))
    assert json.loads(results(folder, "bbox")) == []
    metrics = json.loads((folder / "run" / "test" / "shapes_val" / "metrics.json").read_text())
    assert metrics["bbox"]["AP"] == 0.0
    assert metrics["segm"]["AP"] == 0.0


def test_missing_weights_are_named_before_anything_is_built(folder):
    (folder / "run" / "model_latest.pth").unlink()
    with pytest.raises(FileNotFoundError, match=r"model_latest\.pth does not exist; train first"):
        run_test(tiny_cfg(folder))


def test_weights_of_other_classes_are_refused(folder):
    file = folder / "run" / "model_latest.pth"
    torch.save(build_model(cfg=tiny_cfg(folder, MODEL__NUM_CLASSES=4)).state_dict(), file)
    with pytest.raises(ValueError, match="the number of classes differs"):
        run_test(tiny_cfg(folder))


def test_a_truncated_checkpoint_is_named(folder):
    file = folder / "run" / "model_latest.pth"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"model_latest\.pth"):
        run_test(tiny_cfg(folder))


def test_an_annotation_file_without_annotations_is_tested(folder):
    path = folder / "data" / "shapes" / "annotations" / "instances_val.json"
    content = json.loads(path.read_text())
    (folder / "empty.json").write_text(json.dumps({**content, "annotations": []}))
    run_test(
        tiny_cfg(
            folder,
            TEST__DATASETS=("empty",),
            DATASETS__empty__IMAGES=str(folder / "data" / "shapes" / "val"),
            DATASETS__empty__ANNOTATIONS=str(folder / "empty.json"),
        )
    )
    metrics = json.loads((folder / "run" / "test" / "empty" / "metrics.json").read_text())
    assert metrics["bbox"]["AP"] == -1.0


def test_a_data_set_of_other_class_names_is_warned_of(folder):
    file = folder / "run" / "model_latest.pth"
    state = torch.load(file, weights_only=True)
    torch.save({"model": state, "class_names": ["a", "b", "c", "d", "e"]}, file)
    run_test(tiny_cfg(folder))
    log = (folder / "run" / "log.txt").read_text()
    assert "the weights were trained for other classes than those of shapes_val: 'a' is" in log


def test_proposals_are_scored_by_their_recall(folder, monkeypatch):
    changes = {"MODEL__RPN_ONLY": True, "MODEL__MASK_ON": False, "RPN__POST_NMS_TOP_N_TEST": 200}
    file = folder / "run" / "model_latest.pth"
    torch.save(
        build_model(cfg=tiny_cfg(folder, MODEL__NUM_CLASSES=6, **changes)).state_dict(), file
    )
    named = []

    def draw(image, detections, names, *rest):
        named.append(names)
        return draw_detections(image, detections, names, *rest)

    monkeypatch.setattr(inference, "draw_detections", draw)
    run_test(tiny_cfg(folder, VIS__ENABLED=True, VIS__MAX_IMAGES=1, **changes))
    assert named == [("object",)]  # and not the first class of the data set
    records = json.loads(results(folder, "bbox"))
    assert {record["category_id"] for record in records} == {1}
    assert all(0 < record["score"] < 1 for record in records)
    metrics = json.loads((folder / "run" / "test" / "shapes_val" / "metrics.json").read_text())
    assert list(metrics) == ["proposals"]
    assert 0 < metrics["proposals"]["AR100"] <= metrics["proposals"]["AR1000"] < 1
    assert "average recall of the proposals" in (folder / "run" / "log.txt").read_text()
    assert len(list((folder / "run" / "vis" / "shapes_val").iterdir())) == 1
