"""Parts in processes of their own: one that fails or hangs does not stop the others."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from tools.benchmark import parts as parts_module
from tools.benchmark.parts import Part, Reading, describe, run_part, run_parts

ENV = dict(os.environ)


def part(
    name: str, *codes: str, limit: float = 30.0, read=lambda _: Reading({}), **options
) -> Part:
    commands = tuple((sys.executable, "-c", code) for code in codes)
    return Part(name, f"the part {name}", limit, commands, read, **options)


def read_number(folder: Path) -> Reading:
    number = json.loads((folder / "number.json").read_text())
    return Reading({"number": number}, f"{number} found", "too many" if number > 9 else "")


def write_number(tmp_path: Path, name: str, number: int) -> str:
    path = tmp_path / name / "number.json"
    return f"print('writing'); open({str(path)!r}, 'w').write('{number}')"


def test_the_others_run_whatever_befalls_one(tmp_path, capsys):
    parts = [
        part("good", write_number(tmp_path, "good", 3), read=read_number),
        part("bad", "print('so far'); raise SystemExit(3)", "print('never')"),
        part("hangs", "print('now', flush=True); import time; time.sleep(60)", limit=1.5),
        part("lacks", "print('never')", needs=("json", "yacs")),
        part("unread", "pass", read=read_number),
        part("too_much", write_number(tmp_path, "too_much", 10), read=read_number),
    ]
    saved = []
    begin = time.monotonic()
    outcomes = run_parts(parts, tmp_path, ENV, 100.0, {"yacs"}, lambda some: saved.append([*some]))
    assert time.monotonic() - begin < 30
    good, bad, hangs, lacks, unread, too_much = outcomes
    assert (good.status, good.figures, good.summary) == ("ok", {"number": 3}, "3 found")
    assert good.seconds >= good.seconds_of_commands[0] > 0 and not good.last_lines
    assert (bad.status, bad.problem) == ("failed", "ended with status 3")
    assert bad.last_lines[-1] == "so far" and len(bad.seconds_of_commands) == 1
    assert (hangs.status, hangs.problem) == ("timeout", "stopped after 2 s")
    assert hangs.last_lines[-1] == "now" and 1.5 <= hangs.seconds < 10
    assert (lacks.status, lacks.problem) == ("skipped", "it needs yacs")
    assert unread.status == "failed" and "FileNotFoundError" in unread.problem
    assert (too_much.status, too_much.problem) == ("failed", "too many")
    # What is known is saved after each part, of those to come that they were not begun.
    assert len(saved) == 6 and saved[-1] == outcomes
    assert [outcome.problem for outcome in saved[0]] == ["", *["not begun yet"] * 5]
    assert "writing" in (tmp_path / "good" / "log.txt").read_text()
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "== 1/6 good: the part good, at most 30 s"
    assert "   skipped; it needs yacs" in said and "   | so far" in said


def test_no_part_is_begun_that_has_no_time(tmp_path, monkeypatch):
    monkeypatch.setattr(parts_module, "_LEAST", 0.5)
    parts = [part("slow", "import time; time.sleep(60)"), part("late", "print('never')")]
    slow, late = run_parts(parts, tmp_path, ENV, 2.0, (), lambda _: None)
    assert slow.status == "timeout" and 1.5 < slow.seconds < 10
    assert (late.status, late.problem) == ("skipped", "no time was left of 2 s")


def test_what_a_part_has_started_ends_with_it(tmp_path):
    child = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
    )
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child + '; time.sleep(60)'!r}])\n"
        "print(child.pid, flush=True); child.wait()"
    )
    outcome = run_part(part("a", code), tmp_path, ENV, 3.0)
    assert outcome.status == "timeout"
    pid = next(int(line) for line in outcome.last_lines if line.isdecimal() and line != "1")
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.05)
    pytest.fail("the child is still there")


def test_what_is_heavy_goes_once_it_is_read(tmp_path):
    for name in ("run/a.pth", "run/log.txt", "data/x/y.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")

    def read(folder: Path) -> Reading:
        return Reading({"there": (folder / "data" / "x" / "y.jpg").is_file()})

    heavy = part("a", "pass", read=read, discard=("data", "run/*.pth", "nowhere"))
    assert run_part(heavy, tmp_path, ENV, 30.0).figures == {"there": True}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["log.txt"]
    assert not (tmp_path / "data").exists()


def test_a_part_has_its_own_environment_and_runs_in_the_repository(tmp_path):
    code = "import os, sys; print(os.environ['X'], os.path.isfile('setup.py')); sys.exit(1)"
    outcome = run_part(part("a", code, env={"X": "y"}), tmp_path, ENV, 30.0)
    assert outcome.last_lines[-1] == "y True"
    assert describe(outcome)[0].startswith("failed in") and describe(outcome)[-1] == "| y True"
