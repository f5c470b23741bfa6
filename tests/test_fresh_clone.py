"""The suite in a fresh clone, which has no real pictures, and what continuous integration runs."""

import os
import subprocess
from types import SimpleNamespace

import pytest

from tests.conftest import pytest_collection_modifyitems
from tests.data_folder import VARIABLE, data_folder
from tests.source_code import ROOT


def test_an_empty_variable_means_no_real_pictures(monkeypatch, tmp_path):
    (tmp_path / "coco-mini").mkdir()
    monkeypatch.chdir(tmp_path)  # which is not what an empty name stands for
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(pytest.skip.Exception, match=f"set {VARIABLE} to a folder that holds"):
        data_folder("coco-mini")


def test_real_pictures_lie_where_the_variable_says(monkeypatch, tmp_path):
    (tmp_path / "coco-mini").mkdir()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert data_folder("coco-mini") == tmp_path / "coco-mini"
    with pytest.raises(pytest.skip.Exception):
        data_folder("voc-mini")


@pytest.mark.parametrize(("fixture", "is_real"), [("coco_mini", True), ("pictures", False)])
def test_a_test_of_real_pictures_is_marked(fixture, is_real):
    marks = []
    item = SimpleNamespace(
        fixturenames=["tmp_path", fixture], add_marker=marks.append, iter_markers=lambda name: ()
    )
    pytest_collection_modifyitems([item])
    assert marks == ["real_pictures"] * is_real


@pytest.mark.parametrize("given", [None, "pictures"])
def test_continuous_integration_is_a_fresh_clone_then_real_pictures(tmp_path, monkeypatch, given):
    """A ``make`` that writes down what it is asked stands in for the real one."""
    log = tmp_path / "log"
    make = tmp_path / "make"
    make.write_text(f'#!/bin/sh\necho "$* [${{{VARIABLE}-unset}}]" >> {log}\n')
    make.chmod(0o755)
    monkeypatch.delenv(VARIABLE, raising=False)
    if given:
        monkeypatch.setenv(VARIABLE, given)
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    subprocess.run([ROOT / ".ci" / "run"], env={**os.environ, "PATH": path}, check=True)
    assert log.read_text().splitlines() == ["test []", f"test-real [{given or 'unset'}]"]
