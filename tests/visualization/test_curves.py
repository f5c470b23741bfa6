import json
import runpy
import sys
from pathlib import Path

import pytest

from pet.utils.opencv import cv2
from pet.visualization import curves
from pet.visualization.curves import plot_curves, read_metrics


def test_lines_come_by_iteration_and_the_later_one_counts(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [{"iter": 20, "lr": 1}, {"iter": 40, "lr": 2}, {"iter": 60, "lr": 3}]
    resumed = [{"iter": 40, "lr": 4}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows + resumed) + '{"iter": 80, "l')
    assert read_metrics(path) == [rows[0], resumed[0], rows[2]]


def test_scores_join_the_line_of_their_iteration_and_ap_has_a_panel(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [
        {"iter": 20, "total_loss": 1.5},
        {"iter": 20, "val/d/bbox/AP": 0.1, "val/d/bbox/APs": 0},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    entries = read_metrics(path)
    assert entries == [rows[0] | rows[1]]
    names = ["lr", "iter_time", "accuracy", "loss_mask", "val/d/segm/AP", "val/d/proposals/AR1000"]
    entries += [{"iter": 40, name: 0.5} for name in names]
    assert curves._panels({"run": entries}) == [
        *("total_loss", "loss_mask", "val/d/bbox/AP", "val/d/proposals/AR1000", "val/d/segm/AP"),
        *("lr", "iter_time", "accuracy"),
    ]
    plot_curves({"old": [{"iter": 20, "lr": 0.1}], "new": entries[:1]}, tmp_path / "curves.png")
    assert cv2.imread(str(tmp_path / "curves.png")) is not None


def test_files_that_are_missing_or_malformed_are_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with pytest.raises(FileNotFoundError, match=r"no metrics file .*metrics\.jsonl"):
        read_metrics(path)
    path.write_text('{"iter": 20}\n{"lr": 1}\n{"iter": 60}\n')
    with pytest.raises(ValueError, match=r"line 2 of .*metrics\.jsonl"):
        read_metrics(path)


def test_runs_become_one_panel_for_each_figure(tmp_path):
    long = [
        {"iter": i, "lr": 0.1, "total_loss": 2 / i, "loss_mask": 1 / i, "eta": "1:00"}
        for i in range(20, 100, 20)
    ]
    short = [{"iter": 20, "total_loss": float("nan"), "iter_time": 0.5}]
    path = tmp_path / "new" / "curves.png"
    plot_curves({"long": long, "short": short}, path)
    four = cv2.imread(str(path)).shape  # total_loss, loss_mask, lr, iter_time: two rows of panels
    plot_curves({"long": long}, path)
    three = cv2.imread(str(path)).shape  # one row
    assert four[1] == three[1]
    assert four[0] == pytest.approx(2 * three[0], abs=2)
    assert [file.name for file in path.parent.iterdir()] == ["curves.png"]


def test_nothing_to_draw_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no figures to draw in empty"):
        plot_curves({"empty": []}, tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_the_tool_compares_runs(tmp_path, monkeypatch, capsys):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text('{"iter": 20, "total_loss": 1.5}\n')
    tool = Path(__file__).resolve().parents[2] / "tools" / "rcnn" / "plot_curves.py"
    out = tmp_path / "out.png"
    words = [tool, tmp_path / "a", tmp_path / "b", "--out", out]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    runpy.run_path(str(tool), run_name="__main__")
    assert capsys.readouterr().out == f"the curves are in {out}\n"
    assert cv2.imread(str(out)) is not None
