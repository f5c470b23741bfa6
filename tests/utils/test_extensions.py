import os
import sys

import pytest

from pet.utils.extensions import ENVIRONMENT, import_extensions, import_inherited_extensions


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(ENVIRONMENT, "")
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_file_is_imported_once_and_handed_on(tmp_path):
    (tmp_path / "pet_parts_a.py").write_text("import builtins\nruns = 1\n")
    import_extensions([str(tmp_path / "pet_parts_a.py"), "json"])
    first = sys.modules["pet_parts_a"]
    import_inherited_extensions()
    assert sys.modules["pet_parts_a"] is first and first.runs == 1
    handed_on = os.environ[ENVIRONMENT].split(os.pathsep)
    assert handed_on == [str(tmp_path / "pet_parts_a.py"), "json"]


def test_a_new_process_imports_what_it_inherits(tmp_path, monkeypatch):
    (tmp_path / "pet_parts_b.py").write_text("")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "pet_parts_b.py"))
    import_inherited_extensions()
    assert "pet_parts_b" in sys.modules


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*none\.py to import"):
        import_extensions([str(tmp_path / "none.py")])


@pytest.mark.parametrize("name", ["pet_no_module", "pet_no_module.parts", "json.pet_no_module"])
def test_a_missing_module_is_named(name):
    with pytest.raises(ImportError, match=r"no module .*pet_no_module.* to import; install it"):
        import_extensions([name])


def test_what_a_module_lacks_itself_passes_through(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pet_parts_d.py").write_text("import pet_no_module\n")
    with pytest.raises(ModuleNotFoundError, match="No module named 'pet_no_module'"):
        import_extensions(["pet_parts_d"])


@pytest.mark.parametrize("name", ["", "./parts", "../parts", "folder/parts", "pet..parts"])
def test_what_is_neither_file_nor_module_is_refused(name):
    with pytest.raises(ValueError, match=r"is neither a file, NAME\.py, nor the dotted name"):
        import_extensions([name])


# "time" is built in, "os" is frozen into Python.
@pytest.mark.parametrize("name", ["json.py", "my-parts.py", "time.py", "os.py", "__main__.py"])
def test_a_name_that_cannot_be_imported_is_refused(tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match=r"cannot be imported, .*; rename the file"):
        import_extensions([str(tmp_path / name)])


def test_an_error_in_the_file_passes_through(tmp_path):
    (tmp_path / "pet_parts_c.py").write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        import_extensions([str(tmp_path / "pet_parts_c.py")])
