"""Damaged files of Pascal VOC and of instances: a right result or an error that names the file."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pet.annotations import annotations_from_records
from pet.data.formats.instance_png import INSTANCE_PNG
from pet.data.formats.voc import VOC
from pet.data.image_file import ImageReader
from tests.data.formats.drawn_voc import PARTS, draw_voc, voc_xml, write_indices

QUICK = settings(max_examples=60, deadline=None, derandomize=True, database=None)
NAME = "2007_000001"
TEXT = voc_xml(NAME, PARTS["train"][NAME])
TAGS = ("annotation", "object", "size", "name", "bndbox", "xmin", "difficult", "width", "filename")
VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "1e308", "1e999", "nan", "x", "1_0", "<a/>", "&lt;", "9" * 400]
    ),
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.floats().map(str),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return draw_voc(tmp_path_factory.mktemp("voc"))


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """A folder with one picture."""
    return draw_voc(
        tmp_path_factory.mktemp("voc"), {"train": {NAME: PARTS["train"][NAME]}, "val": {}}
    )


@pytest.fixture(scope="module")
def pngs(tmp_path_factory):
    """A folder with an empty picture, and one for its PNG."""
    folder = tmp_path_factory.mktemp("pngs")
    (folder / "masks").mkdir()
    (folder / "a.jpg").touch()
    return folder


def read(form, images, annotations, named):
    """Read, and check that an error names one of the files in ``named``."""
    try:
        found = form.read(images, annotations, classes=(), reader=ImageReader())
        table = annotations_from_records(annotations, found.images, found.categories, found.objects)
    except (FileNotFoundError, ValueError) as error:
        message = str(error)
    else:
        return table
    assert any(name in message for name in named), message
    return None


@st.composite
def damaged(draw, text):
    """Draw ``text`` with one to three changes: a value, a tag, a cut or other bytes."""
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["value", "tag", "cut", "bytes"]))
        if kind == "value":
            places = [n for n, letter in enumerate(text) if letter == ">"]
            start = draw(st.sampled_from(places)) + 1 if places else 0
            end = text.find("<", start) % (len(text) + 1)
            text = text[:start] + draw(VALUES) + text[max(start, end) :]
        elif kind == "tag":
            text = text.replace(draw(st.sampled_from(TAGS)), draw(st.sampled_from(TAGS)))
        elif kind == "cut":
            start, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
            text = text[:start] + text[end:]
        else:
            start = draw(st.integers(0, len(text)))
            return (text[:start].encode() + draw(st.binary(max_size=4))) + text[start:].encode()
    return text.encode()


@QUICK
@given(damaged(TEXT))
@example(TEXT.encode())
def test_xml_files(one, content):
    (one / "Annotations" / f"{NAME}.xml").write_bytes(content)
    table = read(VOC, one / "JPEGImages", one / "Annotations", [NAME, str(one / "Annotations")])
    if content == TEXT.encode():
        assert table is not None and len(table.ids) == 2


@QUICK
@given(
    st.one_of(
        st.lists(
            st.one_of(
                st.sampled_from([*PARTS["train"], "2007_000001 -1", "2007_000002\t1", "..", "/"]),
                st.text(max_size=8),
            ),
            max_size=5,
        ).map("\n".join),
        st.text(max_size=20),
    ).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
@example(b"a" * 300)
@example(b"2007_000001\0")
@example(b".jpg\n..jpg\na/.xml")
def test_lists(root, content):
    path = root / "ImageSets" / "Main" / "list.txt"
    path.write_bytes(content)
    table = read(VOC, root / "JPEGImages", path, ["list.txt"])
    if table is not None:
        names = table.file_names(range(len(table.image_ids)))
        assert {name[:-4] for name in names} <= {*PARTS["train"], *PARTS["val"]}


@QUICK
@given(st.data())
def test_pngs(pngs, data):
    path = pngs / "masks" / "a.png"
    write_indices(path, np.arange(60, dtype=np.uint8).reshape(6, 10) // 20)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path.write_bytes(content[:end])
    read(INSTANCE_PNG, pngs, pngs / "masks", ["a.png"])
