import codecs
from pathlib import Path

import pytest

from pet.config.yaml_file import Written, read_yaml


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "some.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_sections_lists_and_scalars(tmp_path):
    content = "A:\n  1: 'x'\n  on: [2, b, \"3\"]\nB: 1.10 # why\nC: |\n  7\n"
    assert read_yaml(write(tmp_path, content)) == {
        "A": {"1": "x", "on": [Written("2", 2), "b", "3"]},
        "B": Written("1.10", 1.1),
        "C": "7\n",
    }


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "null\n", "\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_holds_nothing(tmp_path, content):
    assert read_yaml(write(tmp_path, content)) == {}


def test_a_section_may_be_named_and_used_again(tmp_path):
    content = "A: &a {X: 1, Y: 2}\nB: *a\nC:\n  <<: *a\n  Y: 3\nD: *a\n"
    read = read_yaml(write(tmp_path, content))
    assert read["B"] == read["D"] == {"X": Written("1", 1), "Y": Written("2", 2)}
    assert read["C"] == {"X": Written("1", 1), "Y": Written("3", 3)}


# Encodings ---------------------------------------------------------------------------------------

MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}


@pytest.mark.parametrize("encoding", MARKS)
def test_a_mark_ahead_of_the_text_says_its_encoding(tmp_path, encoding):
    content = MARKS[encoding] + "CKPT: grün\r\n# 模型\r\nSEED: 3\r\n".encode(encoding)
    assert read_yaml(write(tmp_path, content)) == {"CKPT": "grün", "SEED": Written("3", 3)}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_bytes_that_are_no_utf_8_are_named_with_their_line(tmp_path, end):
    content = end.join([b"SEED: 3", b"# gr\xfcn", b""])
    with pytest.raises(
        ValueError, match=r"some\.yaml, line 2: the byte 0xfc there is not UTF-8; save the file as"
    ):
        read_yaml(write(tmp_path, content))


def test_half_a_character_of_utf_16_is_named_with_its_line(tmp_path):
    content = codecs.BOM_UTF16_LE + "A: 1\nB: 2".encode("utf-16-le") + b"\x00"
    with pytest.raises(ValueError, match=r"line 2: the byte 0x00 there is not UTF-16; save"):
        read_yaml(write(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04\x00\x00weights",
        "SEED: 3\n".encode("utf-16-le"),  # without its mark
        b"# long\n" * 1_500_000,
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content):
    with pytest.raises(
        ValueError, match=r"some\.yaml is no text in UTF-8, or longer than"
    ) as error:
        read_yaml(write(tmp_path, content))
    assert "\n" not in str(error.value)


# Form --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("- 1\n- 2\n", "it holds a list"),
        ("just words", "it holds a single value"),
        ("2026-01-05", "it holds a single value"),
        ("SEED: 3\nRPN: [", "line 2, column 7: while parsing a flow node"),
        ("SEED: 3\n\tRPN: 4\n", r"line 2, column 1: .*'\\t' that cannot start any token"),
        ("A: 1\n---\nB: 2\n", "line 2, column 1: expected a single document"),
        ("A: *nobody\n", "line 1, column 4: found undefined alias 'nobody'"),
        ("SEED: 3\nCKPT: a\x07b\n", r"line 2 holds the control character U\+0007; take it out"),
        ("SEED: 3\n? [a, b]\n: 4\n", "line 2: a key must be a text"),
        ("SEED: !!python/object/apply:os.getcwd []\n", "line 1, .* could not determine a const"),
        ("A: !!map [1]\n", "line 1, column 4: expected a mapping node"),
        ("A: [" * 5000, "it is nested more than 20 levels deep"),
        ("A: " + "[" * 30 + "]" * 30, "it is nested more than 20 levels deep"),
        ("A: &a\n  B: *a\n", "it is nested more than .*, or without an end"),
    ],
)
def test_what_is_no_yaml_of_sections_and_keys_is_named_in_one_line(tmp_path, content, why):
    with pytest.raises(ValueError, match=why) as error:
        read_yaml(write(tmp_path, content))
    assert "some.yaml is not a YAML file of sections and keys: " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("tag", ["int", "float", "bool", "timestamp", "null"])
def test_what_a_tag_promises_wrongly_is_a_text(tmp_path, tag):
    assert read_yaml(write(tmp_path, f"A: !!{tag} 'x'\n")) in ({"A": "x"}, {"A": None})


@pytest.mark.parametrize(
    ("content", "key", "lines"),
    [
        ("TRAIN:\n  WEIGHTS: a\nSEED: 3\nTRAIN:\n  BATCH_SIZE: 2\n", "TRAIN", "1 and 4"),
        ("TRAIN:\n  BATCH_SIZE: 4\n  BATCH_SIZE: 2\n", "TRAIN.BATCH_SIZE", "2 and 3"),
        ("\nTRAIN: {SCALES: 4, MAX_SIZE: 5,\n SCALES: 3}\n", "TRAIN.SCALES", "2 and 3"),
        ("DATASETS:\n  2024: {}\n  '2024': {}\n", "DATASETS.2024", "2 and 3"),
        ('"SEED": 1\nSEED: 1\n', "SEED", "1 and 2"),
        ("A: {B: {C: 1, C: 2}}\n", "A.B.C", "1 and 1"),
    ],
)
def test_what_stands_twice_is_refused(tmp_path, content, key, lines):
    message = rf"some\.yaml has {key} twice; join the two into one: they stand in lines {lines}$"
    with pytest.raises(ValueError, match=message):
        read_yaml(write(tmp_path, content))
