"""Ctrl-C in the tools: one line and no traceback, wherever they are."""

from pathlib import Path

import pytest

from tests.engine.saved_run import save_run
from tests.engine.tiny_run import draw_few_shapes
from tests.source_code import ROOT
from tests.tool_process import DIED_OF_INTERRUPT, finish, press, run, start

#: Those of tools/rcnn start those of tools; in tools/benchmark most are imported by others.
TOOLS = sorted(
    str(path.relative_to(ROOT / "tools"))
    for path in ROOT.glob("tools/**/*.py")
    if "leave_on_interrupt" in path.read_text(encoding="utf-8")
    or (path.parent.name != "benchmark" and path.stem != "__init__")
)

CFG = ("--cfg", ROOT / "cfgs/rcnn/torchvision/maskrcnn_resnet50_fpn.yaml", "DEVICE", "cpu")
#: What a tool that imports files of the user's own needs beside ``--import``.
WORDS = {
    "convert_weights.py": ("a.pth", "b.pth"),
    "check_data.py": CFG,
    "compare_with_torchvision.py": CFG,
    "predict.py": ("--images", "a.jpg", *CFG),
    "rcnn/train_net.py": CFG,
    "test_net.py": CFG,
    "train_net.py": CFG,
    "visualize_data.py": CFG,
}
WAITS = "import sys\nprint('here', flush=True)\nsys.stdin.read()\n"


def interrupted(process) -> str:
    """Press Ctrl-C once ``process`` says that it is there; return what it writes to stderr."""
    assert process.stdout.readline() == "here\n"
    press(process)
    status, _, err = finish(process)
    assert status == DIED_OF_INTERRUPT
    return err


def test_all_tools_are_known():
    assert set(WORDS) < set(TOOLS) and len(TOOLS) == 18


@pytest.mark.parametrize("tool", TOOLS)
def test_while_a_tool_imports(tool, tmp_path):
    (tmp_path / "stub" / "torch").mkdir(parents=True)
    (tmp_path / "stub" / "torch" / "__init__.py").write_text(WAITS)
    assert interrupted(start(tool, tmp_path, path=str(tmp_path / "stub"))) == "interrupted\n"


@pytest.mark.parametrize("tool", WORDS)
def test_while_a_tool_works(tool, tmp_path):
    (tmp_path / "waits.py").write_text(WAITS)
    process = start(tool, tmp_path, "--import", "waits.py", *WORDS[tool])
    assert interrupted(process) == "interrupted\n"
    assert {path.name for path in tmp_path.iterdir()} <= {"waits.py", "__pycache__"}


#: Python runs it before all else: waits where the file of a run is read.
WAITS_FOR_METRICS = """
import pathlib, signal, sys
real = pathlib.Path.is_file
def is_file(self):
    if self.name == "metrics.jsonl":
        print("here", flush=True)
        sys.stdin.read()
    return real(self)
pathlib.Path.is_file = is_file
"""


def start_plot(folder: Path, lines: str = ""):
    (folder / "first").mkdir()
    (folder / "first" / "sitecustomize.py").write_text(WAITS_FOR_METRICS + lines)
    (folder / "run").mkdir()
    (folder / "run" / "metrics.jsonl").write_text('{"iter": 1, "lr": 0.1, "total_loss": 1.0}\n')
    words = ("run", "--out", "a.png")
    return start("plot_curves.py", folder, *words, path=str(folder / "first"))


def test_while_curves_are_read(tmp_path):
    assert interrupted(start_plot(tmp_path)) == "interrupted\n"
    assert not (tmp_path / "a.png").exists()


def test_a_process_that_ignores_the_signal_goes_on(tmp_path):
    """As one in the background of a script does."""
    process = start_plot(tmp_path, "signal.signal(signal.SIGINT, signal.SIG_IGN)\n")
    assert process.stdout.readline() == "here\n"
    press(process)
    assert finish(process) == (0, "the curves are in a.png\n", "")


# In the second image of the second process.
IN_TEST = """
import os, signal
from pet.engine import inference
real, parent, seen = inference.image_results, os.getppid(), []
def image_results(image_id, *args):
    seen.append(image_id)
    if len(seen) == 2:
        os.kill({target}, signal.SIGINT)
    return real(image_id, *args)
inference.image_results = image_results
"""


@pytest.fixture
def tested(tmp_path, monkeypatch) -> Path:
    """Return a folder with a run in it that can be tested, by ``cfgs/tiny.yaml``."""
    draw_few_shapes(monkeypatch, tmp_path / "data")
    save_run(tmp_path, 6)
    return tmp_path


@pytest.mark.parametrize(
    ("nproc", "target"), [(1, "0"), (2, "0"), (2, "parent")], ids=["one", "two", "parent of two"]
)
def test_while_images_are_tested(tested, nproc, target):
    """The end of all processes is waited for: they share the tool's stderr."""
    (tested / "press.py").write_text(IN_TEST.format(target=target))
    words = ("--nproc", nproc, "--import", "press.py", "--cfg", "cfgs/tiny.yaml")
    workers = 2 if nproc == 1 else 0
    status, out, err = run("rcnn/test_net.py", tested, *words, "TEST.LOADER_THREADS", workers)
    assert (status, err) == (DIED_OF_INTERRUPT, "interrupted\n")
    assert "results of" not in out
    written = [path.name for path in (tested / "run").glob("test/**/*") if path.is_file()]
    assert not [name for name in written if name.startswith(".") or name == "metrics.json"]
