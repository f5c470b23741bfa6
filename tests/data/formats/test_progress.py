"""Reading of many files is shown."""

import logging
from pathlib import Path

import pytest

from pet.data.formats.progress import show_reading


@pytest.mark.parametrize(("count", "is_told"), [(0, False), (999, False), (1000, True)])
def test_many_files_have_a_line_in_the_log(caplog, capsys, count, is_told):
    caplog.set_level(logging.INFO)
    assert list(show_reading(range(count), count, Path("data/train"))) == list(range(count))
    assert ("reading data/train: 1000 pictures" in caplog.text) is is_told
    assert capsys.readouterr().err == ""  # no terminal, no bar
