"""What is kept of a large file."""

import io
import json
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pet.annotations import convert, read_annotations, reader
from pet.annotations.columns import Columns, ColumnWriter
from tests.annotations.damage import sound_content
from tests.annotations.test_fuzz import plain
from tests.source_code import ROOT


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(sound_content()))
    return path


@pytest.fixture
def conversions(monkeypatch) -> list[Path]:
    """Return the files that are converted, as they come; every file is a large one."""
    found = []

    def count(file, output, source):
        found.append(file)
        convert.convert(file, output, source)

    for module in (convert, reader):
        monkeypatch.setattr(module, "LARGE", 1)
    monkeypatch.setattr(reader, "convert", count)
    return found


def kept_in(cache: Path) -> Path:
    (kept,) = cache.glob("*.columns")
    return kept


def source_free(table) -> dict:
    """Return all that ``table`` holds, but for where it was kept."""
    table.columns.facts.pop("source")
    return plain(table)


def test_the_second_read_parses_nothing(tmp_path, file, conversions):
    cache = tmp_path / "cache" / "deep"
    first = read_annotations(file, cache)
    second = read_annotations(file, cache)
    assert conversions == [file]
    assert plain(first) == plain(second)
    assert source_free(second) == source_free(read_annotations(file))
    assert {path.suffix for path in cache.iterdir()} == {".columns", ".lock"}


def test_a_small_file_is_not_kept(tmp_path, file):
    read_annotations(file, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_file_is_read_anew(tmp_path, file, conversions, change):
    read_annotations(file, tmp_path / "cache")
    text, state = file.read_text(), file.stat()
    assert '"area": 9,' in text
    file.write_text(text.replace('"area": 9,', '"area": 12,' if change == "size" else '"area": 8,'))
    time = state.st_mtime_ns + (0 if change == "size" else 1_000_000)
    os.utime(file, ns=(state.st_atime_ns, time))
    table = read_annotations(file, tmp_path / "cache")
    assert len(conversions) == 2
    assert table.areas[0] == (12 if change == "size" else 8)


def _cut(kept: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:-9])


def _cut_front(kept: Path) -> None:
    kept.write_bytes(kept.read_bytes()[64:])


def _empty(kept: Path) -> None:
    kept.write_bytes(b"")


def _foreign(kept: Path) -> None:
    kept.write_bytes(pickle.dumps({"a": 1}) * 100)


def _short(kept: Path) -> None:
    kept.write_bytes(b"x")


def _of_another_file(kept: Path) -> None:
    written = io.BytesIO()
    ColumnWriter(written).finish({}, {"source": {"file": "another"}})
    kept.write_bytes(written.getvalue())


def _delete(kept: Path) -> None:
    kept.unlink()


@pytest.mark.parametrize(
    "spoil", [_cut, _cut_front, _empty, _foreign, _short, _of_another_file, _delete]
)
def test_a_spoilt_cache_is_read_anew(tmp_path, file, conversions, spoil):
    cache = tmp_path / "cache"
    first = plain(read_annotations(file, cache))
    spoil(kept_in(cache))
    assert plain(read_annotations(file, cache)) == first
    read_annotations(file, cache)
    assert len(conversions) == 2


def test_a_flipped_bit_of_the_header_is_noticed(tmp_path, file, conversions):
    cache = tmp_path / "cache"
    read_annotations(file, cache)
    kept = kept_in(cache)
    whole = kept.read_bytes()
    header = whole.index(b'{"arrays"')
    for place in [*range(header, len(whole), 7), *range(len(whole) - 24, len(whole))]:
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        kept.write_bytes(spoilt)
        with pytest.raises(ValueError, match="not a file of columns, or not a whole one"):
            Columns.from_file(kept)
    read_annotations(file, cache)
    assert len(conversions) == 2


_TWO_AT_ONCE = """
import logging, sys, time
from pathlib import Path
from pet.annotations import convert, read_annotations, reader
convert.LARGE = reader.LARGE = 1
def slow(*arguments):
    print("converts", flush=True)
    time.sleep(1)
    convert.convert(*arguments)
reader.convert = slow
table = read_annotations(sys.argv[1], Path(sys.argv[2]))
print("read", len(table.ids), table.boxes.sum())
"""


def test_two_processes_at_once(tmp_path, file):
    command = [sys.executable, "-c", _TWO_AT_ONCE, str(file), str(tmp_path / "cache")]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert "".join(said).count("converts") == 1
    total = read_annotations(file).boxes.sum()
    assert "".join(said).count(f"read 8 {total}") == 2


def test_an_error_leaves_nothing_but_the_lock(tmp_path, file, conversions):
    content = sound_content()
    content["annotations"][3]["image_id"] = 5
    file.write_text(json.dumps(content))
    for _ in range(2):
        with pytest.raises(ValueError, match="image_id not among its images: annotation 4 has 5"):
            read_annotations(file, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_folder_that_cannot_be_written_to(tmp_path, file, conversions, caplog):
    cache = tmp_path / "cache"
    cache.write_text("a file, so that not even root can write into it")
    with caplog.at_level(logging.WARNING):
        table = read_annotations(file, cache)
    assert f"what {file} holds cannot be kept in {cache}" in caplog.text
    assert plain(table)["id"] == "[1, 2, 3, 4, 5, 6, 7, 8]"


def test_no_room_on_the_disk(tmp_path, file, conversions, monkeypatch, caplog):
    full = convert.convert

    def fill(file, output, source):
        if not isinstance(output, io.BytesIO):
            output.write(b"some")
            raise OSError(28, "No space left on device")
        full(file, output, source)

    monkeypatch.setattr(reader, "convert", fill)
    with caplog.at_level(logging.WARNING):
        assert len(read_annotations(file, tmp_path / "cache").ids) == 8
    assert "No space left" in caplog.text
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def _read_in_worker(table, cache: str) -> tuple[bool, dict]:
    """Return whether a file in ``cache`` is mapped here, and what ``table`` holds."""
    return cache in Path("/proc/self/maps").read_text(), plain(table)


@pytest.fixture(scope="module")
def executor():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.mark.parametrize("state", ["kept", "deleted", "another", "in memory"])
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is mapped")
def test_another_process_maps_the_same(tmp_path, file, conversions, executor, state):
    cache = tmp_path / f"cache of {state}"
    table = read_annotations(file, None if state == "in memory" else cache)
    before = plain(table)
    if state == "deleted":
        kept_in(cache).unlink()
    if state == "another":
        other = sound_content()
        other["annotations"] = other["annotations"][:2]
        file.write_text(json.dumps(other))
        read_annotations(file, cache)
    is_mapped, found = executor.submit(_read_in_worker, table, str(cache)).result(timeout=120)
    assert is_mapped == (state == "kept")
    assert found == before
    assert plain(table) == before, "what is sent stays as it is here"


def test_nothing_is_pickled_in_the_file(tmp_path, file, conversions):
    read_annotations(file, tmp_path / "cache")
    content = kept_in(tmp_path / "cache").read_bytes()
    for protocol in range(2, 6):
        assert pickle.dumps({}, protocol)[:2] not in content[:2]
    start = content.index(b'{"arrays"')
    header = json.loads(content[start:-24])
    kinds = {place["type"] for place in header["arrays"].values()}
    assert kinds <= {"<i8", "<f8", "|u1", "|b1", ">i8", ">f8"}


def test_columns_hold_what_was_written(tmp_path):
    path = tmp_path / "some.columns"
    arrays = {
        "a": np.arange(7, dtype=np.int64).reshape(7, 1),
        "empty": np.zeros((0, 4)),
        "flags": np.array([True, False, True]),
    }
    with open(path, "wb") as opened:
        writer = ColumnWriter(opened)
        starts = [writer.append(np.frombuffer(b"abc", np.uint8)), writer.append(np.array([0.5, 2]))]
        writer.finish(arrays, {"word": "é"})
    columns = Columns.from_file(path)
    assert starts == [0, 8] and columns.facts == {"word": "é"}
    assert columns.bytes[:3].tobytes() == b"abc"
    assert columns.numbers[1:3].tolist() == [0.5, 2]
    for name, array in arrays.items():
        assert columns[name].dtype == array.dtype
        np.testing.assert_array_equal(columns[name], array)
    with pytest.raises(ValueError, match="read-only"):
        columns["a"][0] = 1
    again = pickle.loads(pickle.dumps(Columns.from_memory(io.BytesIO(path.read_bytes()))))
    assert again["a"].tolist() == arrays["a"].tolist()
