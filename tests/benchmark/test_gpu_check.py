"""The check of a machine with a GPU: tried out on the CPU, and what is read of its parts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source_code import ROOT
from tools.benchmark import benchmark, gpu_check, gpu_parts
from tools.benchmark.gpu_parts import CUDA_TESTS, Check, has_coco
from tools.benchmark.parts import Part, Reading

SCRIPT = ROOT / "tools/benchmark/gpu_check.sh"
NAMES = ["environment", "tests", "train", "infer_1", "infer_8", "quickstart", "compile"]


def test_a_tiny_check_of_the_cpu(tmp_path):
    out = tmp_path / "out"
    command = [
        *("sh", str(SCRIPT), "--out", str(out), "--device", "cpu", "--tiny"),
        *("--parts", "environment,tests,infer_1"),  # the others would take a minute more
    ]
    # As on a machine where Pet is not installed, and from another folder.
    env = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((out / "results.json").read_text())
    found = {each["name"]: each for each in results["parts"]}
    assert list(found) == ["environment", "tests", "infer_1"]
    assert {each["status"] for each in found.values()} == {"ok"} and results["missing"] == []
    assert found["environment"]["figures"]["lines"][0].startswith("python 3.")
    assert found["tests"]["figures"] == {"passed": 0, "skipped": 1, "failed": [], "warnings": 0}
    rows = found["infer_1"]["figures"]["rows"]
    assert [row["side"] for row in rows] == ["torchvision fp32", "Pet fp32"]
    table = (out / "results.md").read_text()
    assert "| infer_1 | ok | " in table and "| Pet fp32 | " in table
    assert all((out / name / "log.txt").is_file() for name in found)
    assert "== 3/3 infer_1: " in done.stdout and "== all parts went well: " in done.stdout


def fake_parts(monkeypatch, *codes: str) -> None:
    def parts(self: Check) -> list[Part]:
        return [
            Part(f"p{n}", "fake", 20.0, ((sys.executable, "-c", code),), lambda _: Reading({}))
            for n, code in enumerate(codes)
        ]

    monkeypatch.setattr(Check, "parts", parts)


def test_a_part_that_fails_is_reported_and_the_status_says_so(tmp_path, monkeypatch, capsys):
    fake_parts(monkeypatch, "raise SystemExit('a pipe | breaks')", "pass")
    out = tmp_path / "out"
    assert gpu_check.main(["--out", str(out)]) == 1
    first, second = json.loads((out / "results.json").read_text())["parts"]
    assert (first["status"], second["status"]) == ("failed", "ok")
    assert first["last_lines"][-1] == "a pipe | breaks"
    assert "| p0 | failed | " in (out / "results.md").read_text()
    assert f"not all parts went well: {out}/results.md" in capsys.readouterr().out
    fake_parts(monkeypatch, "pass")
    assert gpu_check.main(["--out", str(tmp_path / "next"), "--parts", "p0"]) == 0


def test_parts_that_need_what_is_missing_are_skipped_and_it_is_said(tmp_path, monkeypatch, capsys):
    missing = ["yacs", "pytest"]
    monkeypatch.setattr(gpu_check, "missing_modules", lambda *_: missing)
    assert gpu_check.main(["--out", str(tmp_path / "out"), "--parts", "tests,train"]) == 1
    said = capsys.readouterr().out
    assert "missing here: yacs, pytest; install them: " in said
    assert said.count("skipped; it needs yacs") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--parts", "train,xyz"], "no part 'xyz'; choose from environment,tests,train,"),
        ([], "is there already; give a new folder"),
    ],
)
def test_a_wrong_command_line(tmp_path, capsys, words, message):
    if not words:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(SystemExit) as error:
        gpu_check.main(["--out", str(tmp_path / "out"), *words])
    assert error.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize("coco", [False, True])
def test_the_commands_are_ones_that_the_tools_take(tmp_path, tiny, coco):
    parts = Check(tmp_path, "cuda", tiny, coco=tmp_path if coco else None).parts()
    assert [part.name for part in parts] == NAMES
    # In order of worth, and what runs into its limit leaves some time for all but the last.
    assert tiny or sum(part.limit for part in parts[:-2]) <= gpu_check._LIMIT + 20
    for part in parts:
        for command in part.commands:
            assert command[0] == sys.executable
            assert command[1] == "-m" or (ROOT / command[1]).is_file()
            if command[1].endswith("benchmark.py"):
                args = benchmark._parser().parse_args(command[2:])
                assert args.opts[:2] == ["DEVICE", "cuda"] and args.drawn != coco
                assert len(args.opts) % 2 == 0
                assert Path(args.json).parent == Path(args.markdown).parent == tmp_path / part.name


def test_every_file_with_a_test_of_a_gpu_is_run():
    said = "there is no CUDA device"
    with_one = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if said in path.read_text(encoding="utf-8") and path.name != "test_gpu_check.py"
    }
    # What asks for the message itself, not for a device.
    with_one -= {"tests/utils/test_env.py"}
    assert sorted(with_one) == sorted(CUDA_TESTS)


def test_tests_are_read_as_far_as_they_came(tmp_path):
    lines = [
        "tests/a.py::test_x[float32] PASSED   [ 10%]",
        "tests/a.py::test_y[{'views': True}-cuda] FAILED   [ 20%]",
        "tests/b.py::test_z SKIPPED (there is no CUDA device)   [ 30%]",
        "tests/b.py::test_hangs ",
    ]
    log = tmp_path / "log.txt"
    log.write_text("\n".join(lines))
    reading = gpu_parts._read_tests(tmp_path, needed=True)
    assert reading.figures == {
        "passed": 1,
        "skipped": 1,
        "failed": ["tests/a.py::test_y[{'views': True}-cuda]"],
        "warnings": 0,
    }
    assert not reading.problem
    log.write_text(
        "ERROR tests/engine/test_cuda.py - ImportError: x\n1 error, 3 warnings in 2.0s\n"
    )
    reading = gpu_parts._read_tests(tmp_path, needed=True)
    assert reading.figures["failed"] == ["tests/engine/test_cuda.py"]
    assert reading.figures["warnings"] == 3
    log.write_text(lines[2])
    assert gpu_parts._read_tests(tmp_path, needed=True).problem == "no test was run"
    assert not gpu_parts._read_tests(tmp_path, needed=False).problem


def test_a_report_of_unlike_sides_is_no_good_end(tmp_path):
    report = {
        "unit": "image",
        "unlike": ["3 is not 4"],
        "rows": [{"side": "Pet fp32", "seconds": {"median": 0.5}}],
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    reading = gpu_parts._read_report(tmp_path)
    assert reading.problem == "the sides are not alike"
    assert reading.summary == "s / image: Pet fp32 0.5000"


def test_the_quickstart_is_read_from_what_training_and_testing_leave(tmp_path):
    run = tmp_path / "run"
    (run / "test" / "shapes_val").mkdir(parents=True)
    metrics = {"bbox": {"AP": 0.5}, "segm": {"AP": 0.25}}
    (run / "test" / "shapes_val" / "metrics.json").write_text(json.dumps(metrics))
    lines = [json.dumps({"iter": n, "iter_time": 0.125}) for n in (20, 600)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    reading = gpu_parts._read_quickstart(tmp_path)
    assert reading.figures["metrics"] == metrics
    assert reading.summary == "600 steps of 0.1250 s; box AP 0.5, mask AP 0.25"


def test_a_tiny_check_leaves_time_to_a_busy_machine(tmp_path):
    assert {part.limit for part in Check(tmp_path, "cpu", tiny=True).parts()} == {240}


def test_no_worker_without_shared_memory(tmp_path, monkeypatch):
    assert 1 <= gpu_parts.workers(tmp_path / "nowhere") <= 4
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**26))
    assert gpu_parts.workers(tmp_path) == 0


def test_coco_is_found_where_the_catalog_looks(tmp_path):
    assert not has_coco(tmp_path)
    (tmp_path / "coco" / "val2017").mkdir(parents=True)
    (tmp_path / "coco" / "annotations").mkdir()
    assert not has_coco(tmp_path)
    (tmp_path / "coco" / "annotations" / "instances_val2017.json").write_text("{}")
    assert has_coco(tmp_path)


@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no sh")
def test_the_script_says_where_there_is_no_python(tmp_path):
    env = {**os.environ, "PYTHON": str(tmp_path / "python")}
    done = subprocess.run(["sh", str(SCRIPT)], env=env, capture_output=True, text=True)
    assert done.returncode == 2 and "PYTHON=PATH sh" in done.stderr
