import os
import stat

import pytest

from pet.utils.files import atomic_path


def test_the_file_appears_whole_under_its_name(tmp_path):
    target = tmp_path / "new" / "weights.pth"
    with atomic_path(target) as temporary:
        temporary.write_text("all of it")
        assert temporary.parent == target.parent and temporary.suffix == ".pth"
        assert not target.exists()
    assert target.read_text() == "all of it"
    assert os.listdir(target.parent) == ["weights.pth"]


def test_an_error_leaves_the_old_file_and_no_rubbish(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")

    def interrupted():
        with atomic_path(target) as temporary:
            temporary.write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        interrupted()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.json"):
        pass
    assert not os.listdir(tmp_path)


def test_others_may_read_the_file(tmp_path):
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_text("x")
    with atomic_path(str(atomic)) as temporary:
        temporary.write_text("x")
    assert stat.S_IMODE(atomic.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
