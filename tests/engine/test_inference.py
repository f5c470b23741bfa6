import json
import shutil
import threading
from pathlib import Path

import pytest
import torch

from pet.engine import inference, vis_pictures
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


NAMES = ["circle", "cross", "square", "star", "triangle"]


def rewrite(folder: Path, change) -> Path:
    """Write the annotations of shapes_val, as ``change`` leaves them, and return the file."""
    path = folder / "data" / "shapes" / "annotations" / "instances_val.json"
    content = json.loads(path.read_text())
    change(content)
    (folder / "other.json").write_text(json.dumps(content))
    return folder / "other.json"


def other_cfg(folder: Path, path: Path, **changes):
    """Return the config of a test on the pictures of shapes_val with the annotations ``path``."""
    keys = {
        "TEST__DATASETS": ("other",),
        "DATASETS__other__IMAGES": str(folder / "data" / "shapes" / "val"),
        "DATASETS__other__ANNOTATIONS": str(path),
    }
    return tiny_cfg(folder, **keys, **changes)


def name_classes(folder: Path, names: list[str]) -> None:
    file = folder / "run" / "model_latest.pth"
    torch.save({"model": torch.load(file, weights_only=True), "class_names": names}, file)


def other_results(folder: Path, kind: str = "bbox"):
    return json.loads((folder / "run" / "test" / "other" / f"{kind}.json").read_text())


def test_classes_are_matched_by_name(folder):
    def reverse(content):
        for entry in (*content["categories"], *content["annotations"]):
            key = "id" if "name" in entry else "category_id"
            entry[key] = 60 - 10 * entry[key]

    name_classes(folder, NAMES)
    run_test(tiny_cfg(folder, MODEL__NUM_CLASSES=6))
    plain = json.loads((folder / "run" / "test" / "shapes_val" / "metrics.json").read_text())
    run_test(other_cfg(folder, rewrite(folder, reverse)))
    log = (folder / "run" / "log.txt").read_text()
    assert "of the weights are matched by their names\n" in log
    metrics = json.loads((folder / "run" / "test" / "other" / "metrics.json").read_text())
    # Means over the classes, in another order.
    assert metrics["bbox"].pop("per_class") == pytest.approx(plain["bbox"].pop("per_class"))
    assert metrics["bbox"] == pytest.approx(plain["bbox"])
    first = json.loads(results(folder, "bbox"))
    assert [60 - 10 * r["category_id"] for r in first] == [
        r["category_id"] for r in other_results(folder)
    ]


def test_a_data_set_of_fewer_classes_is_tested(folder):
    def drop(content):
        content["categories"] = [c for c in content["categories"] if c["name"] != "cross"]
        content["annotations"] = [a for a in content["annotations"] if a["category_id"] != 2]

    name_classes(folder, NAMES)
    run_test(other_cfg(folder, rewrite(folder, drop)))
    log = (folder / "run" / "log.txt").read_text()
    assert "lacks cross, and what is found of them is left out" in log
    run_test(tiny_cfg(folder))
    kept = [r for r in json.loads(results(folder, "bbox")) if r["category_id"] != 2]
    assert other_results(folder) == kept
    metrics = json.loads((folder / "run" / "test" / "other" / "metrics.json").read_text())
    assert set(metrics["bbox"]["per_class"]) == set(NAMES) - {"cross"}


def test_no_name_in_common_stops_with_a_remedy(folder):
    name_classes(folder, ["a", "b", "c", "d", "e"])
    with pytest.raises(
        ValueError, match=r"other classes than those of data set 'shapes_val': a, b, .*; test on"
    ):
        run_test(tiny_cfg(folder))


def test_a_broken_annotation_is_said_before_any_model_is_built(folder, monkeypatch):
    def break_all(content):
        for entry in content["annotations"]:
            entry["bbox"] = None

    monkeypatch.setattr(inference, "build_model", None)
    with pytest.raises(ValueError, match=r"nothing to score by in .*other\.json: .* with no bbox"):
        run_test(other_cfg(folder, rewrite(folder, break_all)))

    def without_masks(content):
        for entry in content["annotations"]:
            del entry["segmentation"]

    with pytest.raises(ValueError, match=r"with no segmentation; .*give MODEL\.MASK_ON False"):
        run_test(other_cfg(folder, rewrite(folder, without_masks)))


def test_runs_that_do_not_fill_the_image_do_not_hang(folder):
    def break_one(content):
        first = content["annotations"][0]
        size = next(i for i in content["images"] if i["id"] == first["image_id"])
        first["segmentation"] = {"size": [size["height"], size["width"]], "counts": [5, 6]}

    run_test(other_cfg(folder, rewrite(folder, break_one)))
    log = (folder / "run" / "log.txt").read_text()
    assert "1 annotations of" in log and "runs do not add up to the pixels" in log
    assert "image 1 (annotation 1)" in log


def test_without_a_list_of_annotations_there_are_results_and_no_scores(folder):
    run_test(other_cfg(folder, rewrite(folder, lambda content: content.pop("annotations"))))
    assert other_results(folder)
    assert not (folder / "run" / "test" / "other" / "metrics.json").exists()
    assert (
        "has no annotations, so that other is not scored"
        in (folder / "run" / "log.txt").read_text()
    )


def test_a_picture_that_breaks_off_leaves_the_results_of_the_others(folder):
    run_test(tiny_cfg(folder))
    every = json.loads(results(folder, "bbox"))
    picture = sorted((folder / "data" / "shapes" / "val").iterdir())[2]
    picture.write_bytes(picture.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"1 of 5 pictures of shapes_val could not be .*000003"):
        run_test(tiny_cfg(folder, TEST__IMS_PER_GPU=1))
    left = json.loads(results(folder, "bbox"))
    assert left == [record for record in every if record["image_id"] != 3]
    assert not (folder / "run" / "test" / "shapes_val" / "metrics.json").exists()


def test_pictures_are_never_written_over_the_files_of_the_user(folder):
    data = folder / "data" / "shapes" / "val"
    (folder / "elsewhere").mkdir()
    shutil.copy(data / "000001.png", folder / "elsewhere" / "a.jpg")
    before = (folder / "elsewhere" / "a.jpg").read_bytes()

    def move(content):
        content["images"][0]["file_name"] = str(folder / "elsewhere" / "a.jpg")
        content["images"][1]["file_name"] = "../val/000002.png"

    run_test(other_cfg(folder, rewrite(folder, move), VIS__ENABLED=True, VIS__MAX_IMAGES=2))
    assert (folder / "elsewhere" / "a.jpg").read_bytes() == before
    vis = folder / "run" / "vis" / "other"
    found = {str(path.relative_to(vis)) for path in vis.rglob("*.jpg")}
    assert found == {"elsewhere/a.jpg", "data/shapes/val/000002.jpg"}


def test_pictures_of_one_name_in_two_folders(folder):
    data = folder / "data" / "shapes" / "val"
    for number, camera in enumerate(("cam0", "cam1"), 1):
        (data / camera).mkdir()
        shutil.copy(data / f"00000{number}.png", data / camera / "a.png")

    def move(content):
        for number, camera in enumerate(("cam0", "cam1"), 1):
            content["images"][number - 1]["file_name"] = f"{camera}/a.png"

    run_test(other_cfg(folder, rewrite(folder, move), VIS__ENABLED=True, VIS__MAX_IMAGES=3))
    vis = folder / "run" / "vis" / "other"
    found = {str(path.relative_to(vis)) for path in vis.rglob("*.jpg")}
    assert found == {"cam0/a.jpg", "cam1/a.jpg", "000003.jpg"}


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

    monkeypatch.setattr(vis_pictures, "draw_detections", draw)
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
