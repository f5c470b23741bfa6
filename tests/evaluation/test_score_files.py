"""Text files of scores, to the character."""

from pathlib import Path

from pet.evaluation.coco import CocoMetrics
from pet.evaluation.lvis import LvisMetrics
from pet.evaluation.oks import KeypointMetrics
from pet.evaluation.proposals import ProposalMetrics
from pet.evaluation.score_files import (
    add_line,
    cut_lines,
    figures_of,
    format_line,
    format_record,
    line_file,
    remove_scores,
    write_scores,
)
from pet.evaluation.voc import VocMetrics

TWELVE = (0.381, 0.588, 0.411, 0.215, 0.42, 0.492, 0.315, 0.499, 0.523, 0.319, 0.565, 0.66666)
BOXES = CocoMetrics(
    *TWELVE,
    per_class={"cat": 0.5, "交通灯": None, "dog": 0.25},
    per_class_50={"cat": 0.75, "交通灯": None, "dog": 1.0},
    summary=" Average Precision = 0.381\n Average Recall = 0.523",
)
POINTS = KeypointMetrics(
    *(0.1, 0.2, 0.3, -1.0, 0.5, 0.6, 0.7, 0.8, -1.0, 1.0),
    per_class={},
    per_class_50={},
    summary=" ten",
)
PROPOSALS = ProposalMetrics(*(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), summary=" eight")


def test_a_line_has_the_figures_the_mean_loss_and_the_learning_rate():
    assert format_line(2000, BOXES, 0.87654321, 0.02) == (
        "iter:2000 0.3810  0.5880  0.4110  0.2150  0.4200  0.4920  0.3150  0.4990  0.5230  0.3190  "
        "0.5650  0.6667  0.8765  0.020000\n"
    )
    assert format_line(7, POINTS, 1.0, 0.0000004) == (
        "iter:7 0.1000  0.2000  0.3000  -1.0000  0.5000  0.6000  0.7000  0.8000  -1.0000  1.0000  "
        "1.0000  0.000000\n"
    )


def test_figures_by_name():
    names = ("AP", "AP50", "AP75", "APs", "APm", "APl")
    names += ("AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
    assert figures_of(BOXES) == dict(zip(names, TWELVE, strict=True))
    assert list(figures_of(POINTS))[5:] == ["AR", "AR50", "AR75", "ARm", "ARl"]
    assert len(figures_of(PROPOSALS)) == 8


def test_records_of_other_benchmarks():
    voc = VocMetrics(0.5, 0.25, {"cat": 0.5, "dog": None}, {"cat": 0.25, "dog": None}, summary=" x")
    assert format_record(voc) == (
        "VOC results:\n x\n\nAP50 of 2007 and AP50 of 2010 of each class:\n"
        " cat: 0.5000  0.2500\n dog:      -       -\n"
    )
    assert figures_of(voc) == {"AP50_2007": 0.5, "AP50_2010": 0.25}
    lvis = LvisMetrics(*[0.5] * 13, per_class={"cat": 0.5}, summary=" x")
    assert format_record(lvis) == "LVIS results:\n x\n\nAP of each class:\n cat: 0.5000\n"
    assert list(figures_of(lvis))[6:10] == ["APr", "APc", "APf", "AR300"]


def test_a_record_has_cocos_lines_and_each_class():
    assert format_record(BOXES) == (
        "COCO results:\n"
        " Average Precision = 0.381\n"
        " Average Recall = 0.523\n"
        "\n"
        "AP and AP50 of each class:\n"
        " cat   : 0.5000  0.7500\n"
        " 交通灯:      -       -\n"
        " dog   : 0.2500  1.0000\n"
    )
    assert format_record(PROPOSALS) == "COCO results:\n eight\n"


def test_scores_are_written_and_removed(tmp_path):
    write_scores(tmp_path, {"bbox": BOXES, "keypoints": POINTS})
    names = {"metrics.json", "record_bbox.txt", "record_keypoints.txt"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert (tmp_path / "record_bbox.txt").read_text(encoding="utf-8") == format_record(BOXES)
    remove_scores(tmp_path)
    remove_scores(tmp_path / "missing")
    assert not list(tmp_path.iterdir())


def test_a_line_replaces_that_of_its_iteration_and_later_ones(tmp_path):
    path = line_file(tmp_path, "segm")
    assert path.name == "seg_results.txt"
    assert line_file(tmp_path, "bbox", "mine").name == "det_results_mine.txt"
    for iteration in (1000, 2000, 3000):
        add_line(path, iteration, f"iter:{iteration} first\n")
    add_line(path, 2000, "iter:2000 again\n")
    assert path.read_text() == "iter:1000 first\niter:2000 again\n"
    cut_lines(path, 1999)
    assert path.read_text() == "iter:1000 first\n"
    cut_lines(path, 0)
    assert not list(tmp_path.iterdir())
    cut_lines(path, 5)


def test_lines_of_other_programs_stay(tmp_path: Path):
    path = tmp_path / "det_results.txt"
    path.write_text("epoch:25 0.3810  0.5880")
    add_line(path, 10, "iter:10 x\n")
    assert path.read_text() == "epoch:25 0.3810  0.5880\niter:10 x\n"
    cut_lines(path, 0)
    assert path.read_text() == "epoch:25 0.3810  0.5880\n"
