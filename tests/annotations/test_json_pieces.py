import json

import pytest

from tests.annotations.damage import sound_content
from tests.annotations.test_fuzz import read_both_ways

_ONE = json.dumps(sound_content()["annotations"][0])
_OTHERS = json.dumps({key: v for key, v in sound_content().items() if key != "annotations"})[1:]


def _file(annotations: str, before: str = "", after: str = "") -> str:
    return f'{{{before}"annotations": {annotations}{after}, {_OTHERS}'


@pytest.mark.parametrize("piece", [1, 50, 1000])
@pytest.mark.parametrize(
    "text",
    [
        _file(f"[{_ONE}]"),
        _file(f"[{_ONE}]", before='"info": {"annotations": [1, {}, {}]}, '),
        _file("[]", before=f'"info": {{"annotations": [{_ONE}]}}, '),
        _file(f"[{_ONE}]", before='"annotations": [], '),
        _file(f"[{_ONE}]", after=', "annotations": []'),
        _file(f"[{_ONE}]", after=', "annotations": null'),
        _file("[]", after=f', "\\u0061nnotations": [{_ONE}]'),
        _file("[]", before=f'"x\\"annotations": [{_ONE}], '),
        _file(f"[{_ONE},]"),
        _file(f"[{_ONE} , ]"),
        _file(f"[,{_ONE}]"),
        _file("[,]"),
        _file(f"[{_ONE} {_ONE}]"),
        _file("[12345, 1e5]"),
        _file(f"[{_ONE}"),
        _file(_ONE),
        _file("[" * 3000 + "]" * 3000),
    ],
)
def test_as_a_whole_and_in_pieces(tmp_path, piece, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    whole, in_pieces = read_both_ways(path, piece)
    assert in_pieces == whole


@pytest.mark.parametrize("piece", [1, 50, 1000])
@pytest.mark.parametrize("wrong", [b"\xff", b"\xc3", b"\xed\xa0\x80"])
def test_bytes_that_are_no_text(tmp_path, piece, wrong):
    path = tmp_path / "a.json"
    more = _ONE.replace('"id": 1', '"id": 2, "what": "here"')
    path.write_bytes(_file(f"[{_ONE}, {more}]").encode().replace(b"here", b"h" + wrong + b"e"))
    whole, in_pieces = read_both_ways(path, piece)
    assert in_pieces == whole and "is not JSON text" in whole


def test_the_mark_of_utf_16_before_other_text(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xff\xfe" + _file(f"[{_ONE}]").encode() + b" ")
    whole, in_pieces = read_both_ways(path, 50)
    assert in_pieces == whole and str(path) in whole
