"""XML files of annotations, parsed without anything that a file could define or fetch."""

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from pet.data.image_file import shown_path


def parse_xml(path: Path) -> ElementTree.Element:
    """Return the root element of the XML file ``path``.

    A document type is refused where it begins, as its entities could grow without bound or name
    other files. Raises FileNotFoundError or ValueError, which name the file and the line.
    """
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no XML file {shown_path(path)}") from None
    except OSError as error:
        raise ValueError(f"{shown_path(path)} cannot be read: {error.strerror}") from None
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: its encoding
        raise ValueError(
            f"{shown_path(path)} is no XML that can be read: {error}, line "
            f"{parser.CurrentLineNumber}; mend the file, or take it out of the data set"
        ) from None
    return builder.close()


def _refuse(*_: object) -> None:
    raise ValueError("it has a document type (<!DOCTYPE), which annotations do not need")
