import json

from tools.benchmark.measure import Spread
from tools.benchmark.report import OnDevice, Report, Row, format_report, make_rows, write_report

SECONDS = {"torchvision": [4.0, 8.0], "Pet": [2.0, 2.0]}


def a_report() -> Report:
    rows = make_rows(SECONDS, 2, ["torchvision"], {"Pet": 1_500_000})
    return Report(
        title="a title",
        unit="image",
        rounds=2,
        environment="python 3\ntorch 2",
        command="python x.py",
        agreement=["all agree"],
        rows=rows,
    )


def test_seconds_are_for_a_unit_and_ratios_for_a_round():
    theirs, ours = a_report().rows
    assert theirs == Row("torchvision", Spread(2.5, 3.0, 3.5), {}, None)
    assert ours == Row("Pet", Spread(1, 1, 1), {"torchvision": Spread(2.5, 3.0, 3.5)}, 1_500_000)


def test_the_table():
    lines = list(format_report(a_report()))
    assert lines[0] == "# a title" and "`python x.py`" in lines
    assert "- torch 2" in lines and "- all agree" in lines
    assert lines[-4:] == [
        "| side | s / image | images / s | times as fast as torchvision | peak memory, MB |",
        "| --- | --- | --- | --- | --- |",
        "| torchvision | 3.0000 (2.5000 – 3.5000) | 0.33 |  |  |",
        "| Pet | 1.0000 (1.0000 – 1.0000) | 1.00 | 3.00 (2.50 – 3.50) | 2 |",
    ]


def test_the_table_of_a_device():
    on_device = {"torchvision": OnDevice(31.0, None), "Pet": OnDevice(5.5, 0.876)}
    rows = make_rows(SECONDS, 1, ["torchvision"], {}, on_device)
    report = Report(
        title="a",
        unit="step",
        rounds=2,
        environment="torch 2",
        command="x",
        agreement=[],
        rows=rows,
        images=4,
        unlike=["3 is not 4"],
    )
    lines = list(format_report(report))
    assert "- NOT ALIKE: 3 is not 4" in lines
    assert lines[-4].split(" | ")[2:] == [
        *("images / s", "times as fast as torchvision", "waits / step", "busy"),
        "peak memory, MB |",
    ]
    assert lines[-2].split(" | ")[2:] == ["0.67", "", "31.0", "", " |"]
    assert lines[-1].split(" | ")[2:] == ["2.00", "3.00 (2.50 – 3.50)", "5.5", "88%", " |"]


def test_the_file(tmp_path):
    write_report(a_report(), tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["rows"][1]["faster"]["torchvision"] == {"low": 2.5, "median": 3.0, "high": 3.5}
    write_report(a_report(), tmp_path / "a.md")
    lines = (tmp_path / "a.md").read_text(encoding="utf-8").splitlines()
    assert lines == list(format_report(a_report()))
