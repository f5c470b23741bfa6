"""The pictures of a folder, and their sizes."""

from collections.abc import Iterator
from pathlib import Path

from pet.data.image_file import ImageReader, read_header

#: Name endings of picture files, in lower case.
PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".jp2")


def list_pictures(folder: Path) -> list[str]:
    """Return the names of the picture files in ``folder`` and its folders, sorted, with slashes.

    Hidden files and folders are left out, and links to a folder that holds them.
    """
    return sorted(path.relative_to(folder).as_posix() for path in _pictures(folder, ()))


def _pictures(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    above = (*above, folder.resolve())
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.resolve() not in above:
                yield from _pictures(path, above)
        elif path.suffix.lower() in PICTURE_ENDINGS:
            yield path


def picture_size(path: Path, reader: ImageReader) -> tuple[int, int]:
    """Return height and width of the picture in ``path``, in pixels, as ``reader`` reads it.

    Decodes only pictures of rare formats. Raises FileNotFoundError or ValueError.
    """
    header = read_header(path)
    if header is None:
        height, width = reader.read(path).shape[:2]
        return height, width
    return header.stored_size if reader.orientation == "stored" else header.upright_size
