"""XML files are parsed, and nothing in them is defined, expanded or fetched."""

import pytest

from pet.data.formats.xml_file import parse_xml

LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE a [
 <!ENTITY b "ha">
 <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">
]>
<a>&c;</a>"""
FETCHED = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'


def parse(folder, content):
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "a.xml").write_bytes(data)
    return parse_xml(folder / "a.xml")


def test_elements_and_text(tmp_path):
    root = parse(tmp_path, "<a><b> 1 </b><b>&lt;猫&#x21;</b><c/></a>")
    assert [(each.tag, each.text) for each in root] == [("b", " 1 "), ("b", "<猫!"), ("c", None)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_encodings(tmp_path, encoding):
    declared = {"utf-8-sig": "utf-8"}.get(encoding, encoding)
    text = f'<?xml version="1.0" encoding="{declared}"?><a>é</a>'
    assert parse(tmp_path, text.encode(encoding)).text == "é"


@pytest.mark.parametrize("content", [LAUGHS, FETCHED, "<!DOCTYPE a><a/>", LAUGHS.encode("utf-16")])
def test_a_document_type_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"a\.xml .* document type"):
        parse(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<a>",
        "<a></b>",
        "no XML",
        "<a>&undefined;</a>",
        b"<a>\xff</a>",
        b'<?xml version="1.0" encoding="nothing"?><a/>',
        b'<?xml version="1.0" encoding="gbk"?><a/>',
        b"\0\1\2",
    ],
)
def test_other_files_are_named_with_the_line(tmp_path, content):
    with pytest.raises(ValueError, match=r"a\.xml is no XML that can be read: .*, line \d"):
        parse(tmp_path, content)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no XML file .*b\.xml"):
        parse_xml(tmp_path / "b.xml")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        parse_xml(tmp_path)


def test_elements_in_elements_of_any_depth(tmp_path):
    assert parse(tmp_path, "<a>" * 100_000 + "</a>" * 100_000).tag == "a"
