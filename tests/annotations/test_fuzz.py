"""Damaged files: an error that names the file, or a right result, and nothing else."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pet.annotations import Annotations, convert, flaws, json_pieces, read_annotations, reader
from tests.annotations.damage import damage, sound_content, write_pictures
from tests.annotations.use import WAYS, use
from tests.source_code import ROOT

_QUICK = settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_RANDOMS = st.randoms(use_true_random=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with the pictures of the sound content."""
    folder = tmp_path_factory.mktemp("damaged")
    write_pictures(folder)
    return folder


def test_the_sound_file_is_right_in_all_ways(folder):
    path = folder / "sound.json"
    content = sound_content()
    path.write_text(json.dumps(content))
    # With "category_id", too: the ids 3, 5 and 7 can be labels.
    assert use(path, folder / "images") == 2 * len(WAYS)
    table = read_annotations(path)
    assert not table.box_flaws.any() and not table.mask_flaws.any()
    assert not (table.doubts & ~np.uint8(flaws.TWO_CORNERS)).any()


@_QUICK
@given(rng=_RANDOMS)
def test_damaged_files(folder, rng):
    path = folder / "damaged.json"
    path.write_bytes(damage(sound_content(), rng))
    use(path, folder / "images", [rng.choice(WAYS)])


@settings(_QUICK, max_examples=150)
@given(rng=_RANDOMS)
def test_damaged_files_in_pieces(folder, rng):
    path = folder / "pieces.json"
    path.write_bytes(_spread(damage(sound_content(), rng), rng))
    whole, in_pieces = read_both_ways(path, rng.choice([1, 50, 1000]))
    assert in_pieces == whole


_TEXTS = st.sampled_from(
    [
        *("}, {", '"annotations": [', '\\"annotations\\": [', "]", "[{", "é", "日本", "\n", "\\"),
        *('x"annotations', "annotations", "\ud83d\ude00", "\u2028"),
    ]
)
_NUMBERS = st.sampled_from([0, 1, -1.5, 1e300, float("nan"), float("inf"), 2**64, True, None])
_ANY = st.recursive(
    _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)


@settings(_QUICK, max_examples=150)
@given(
    extras=st.lists(st.dictionaries(_TEXTS, _ANY, max_size=2), min_size=8, max_size=8),
    outside=st.dictionaries(_TEXTS, _ANY, max_size=2),
    rng=_RANDOMS,
)
def test_unusual_text_in_pieces(folder, extras, outside, rng):
    content = sound_content()
    for entry, extra in zip(content["annotations"], extras, strict=True):
        entry |= {key: value for key, value in extra.items() if key != "id"}
    sections = [*content.items(), *[(k, v) for k, v in outside.items() if rng.random() < 0.7]]
    rng.shuffle(sections)
    parts = [f"{json.dumps(k)}:{json.dumps(v, ensure_ascii=False)}" for k, v in sections]
    text = "{" + ",".join(parts) + "}"  # a key may come twice
    path = folder / "unusual.json"
    mark = rng.choice(["", "\ufeff"])
    data = (mark + text).encode(rng.choice(["utf-8"] * 5 + ["utf-16"]), "surrogatepass")
    path.write_bytes(_spread(data, rng))
    whole, in_pieces = read_both_ways(path, rng.choice([1, 50, 1000]))
    assert in_pieces == whole


def _spread(data: bytes, rng: random.Random) -> bytes:
    """Return JSON text with other space between objects."""
    for mark in (b"}, {", b'"annotations": [', b"],"):
        space = rng.choice([b"", b" ", b"\n\t ", b"\r\n" * 40])
        data = data.replace(mark, (mark[:1] + space + mark[1:]) if mark[0] != 34 else mark + space)
    return data


def read_both_ways(path: Path, piece: int) -> tuple[Any, Any]:
    """Return what is read of ``path`` as a whole, and in pieces of ``piece`` bytes."""
    with pytest.MonkeyPatch.context() as patch:
        whole = _outcome(path)
        for module in (convert, reader):
            patch.setattr(module, "LARGE", 1)
        patch.setattr(json_pieces, "_PIECE", piece)
        return whole, _outcome(path)


def _outcome(path: Path) -> Any:
    """Return all that is read, as lists and texts that can be compared; or the error's text."""
    try:
        table = read_annotations(path)
    except ValueError as error:
        return str(error)
    return plain(table)


def plain(table: Annotations) -> dict[str, Any]:
    """Return all that ``table`` holds as lists and texts."""
    columns, numbers = table.columns, range(len(table.ids))
    # Which bytes, not what they hold.
    where = {"name", "url_name", "polygon_part", "rle_text", "point_range"}
    return {
        **{name: repr(columns[name].tolist()) for name in columns.names if name not in where},
        "facts": repr({**columns.facts, "read_otherwise": sorted(table.read_otherwise.items())}),
        "names": table.file_names(range(len(table.image_ids))),
        "polygons": [[part.tolist() for part in table.polygons(number)] for number in numbers],
        "rles": [table.rle(number) for number in np.unique(columns["rle_owner"]).tolist()],
        "points": [table.keypoints(number).tolist() for number in numbers],
    }


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 20_000, 2000))
def test_damaged_files_in_another_process(tmp_path, start):
    """A crash, a hang, or much memory is seen here as what it is."""
    command = [sys.executable, "-m", "tests.annotations.use", tmp_path, start, start + 2000]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=3600
    )
    last = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, f"after seed {last}: {done.stderr[-3000:]}"
    assert last[0].startswith("right ") and int(last[0].split()[1]) > 1000
