"""The tools, and the paths under tools/rcnn/ that they had at first."""

import subprocess
import sys

import pytest

from tests.source_code import ROOT
from tests.test_commands import parser

MOVED = ("plot_curves.py", "predict.py", "test_net.py", "train_net.py", "visualize_data.py")


def test_all_are_there():
    assert {path.name for path in (ROOT / "tools" / "rcnn").glob("*.py")} == set(MOVED)


@pytest.mark.parametrize("tool", MOVED)
def test_both_paths_take_the_same_options(tool):
    assert parser(f"tools/rcnn/{tool}").format_help() == parser(f"tools/{tool}").format_help()


@pytest.mark.parametrize("folder", ["tools", "tools/rcnn"])
def test_a_tool_works_from_any_directory(folder, tmp_path):
    """It says what is wrong by its name, in one line, and needs no package ``tools``."""
    command = [sys.executable, ROOT / folder / "plot_curves.py", "no_run"]
    done = subprocess.run(
        list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "no_run" in done.stderr and "Traceback" not in done.stderr
    done = subprocess.run(
        [*map(str, command[:2]), "-h"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("usage: plot_curves.py [-h]")
