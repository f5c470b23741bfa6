"""Findings about the picture files of a data set.

N images.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pet.data.image_file import ImageReader, shown_path
from pet.data.image_header import ImageHeader
from pet.data.picture_check import kind_of_picture, resolve_names, spread, uses_few_bits
from pet.engine.data_check.checked_set import CheckedSet
from pet.engine.data_check.findings import ERROR, NOTE, WARNING, Finding, Where, counted
from pet.engine.data_check.pictures import Picture

_MOST_DEEP = 8  # pictures with 16 bits per channel that are decoded


@dataclass(frozen=True)
class Files:
    """The picture files of a data set."""

    checked: CheckedSet
    paths: tuple[str, ...]  # N
    present: tuple[int, ...]  # the indices of those that exist
    are_read: bool  # whether the data set reads just these files, as far as Pet knows

    def where(self, indices: Sequence[int], details: Sequence[str] = ()) -> Where:
        """Return the images ``indices``, with ``details`` or else the names of their files."""
        ids = tuple(int(self.checked.image_ids[n]) for n in indices)
        return Where(ids, details=tuple(details) or tuple(self.shown(n) for n in indices))

    def shown(self, index: int) -> str:
        """Return the name of a file for a message, without the folder of the data set."""
        return shown_name(self.checked, self.paths[index])


def shown_name(checked: CheckedSet, path: str) -> str:
    """Return ``path`` for a message, without the folder of the data set."""
    folder = getattr(checked.dataset, "folder", None)
    inside = folder is not None and Path(path).is_relative_to(folder)
    return shown_path(Path(path).relative_to(folder) if inside and folder else path)


def find_files(checked: CheckedSet) -> Files:
    """Return the files of the images; none is opened."""
    dataset = checked.dataset
    # Relative to the image folder, as training resolves the names.
    folder = Path(getattr(dataset, "folder", "."))
    files = [os.path.relpath(dataset.info(n).file, folder) for n in range(len(dataset))]
    names, missing = resolve_names(folder, files)
    paths = [str(folder / name) for name in names]
    present = sorted(set(range(len(paths))) - set(missing))
    reads_files = bool(getattr(dataset, "reads_files", False))
    return Files(checked, tuple(paths), tuple(present), reads_files)


def picture_findings(
    files: Files, pictures: Mapping[str, Picture], reader: ImageReader
) -> list[Finding]:
    """Return the findings about the pictures of a data set; ``pictures`` has its present paths."""
    found = {n: pictures[files.paths[n]] for n in files.present}
    headers = {n: picture.header for n, picture in found.items() if picture.header is not None}
    return [
        *_missing(files),
        *_damaged(files, found),
        *_sizes(files, headers, reader),
        *_modes(files, headers, reader),
    ]


def _finding(
    files: Files,
    indices: Sequence[int],
    severity: str,
    kind: str,
    text: str,
    remedy: str = "",
    details: Sequence[str] = (),
) -> Iterable[Finding]:
    if indices:
        yield Finding(
            severity=severity,
            kind=kind,
            data_sets=(files.checked.name,),
            text=f"{counted(len(indices), 'picture')} of {len(files.paths)} {text}",
            remedy=remedy,
            where=files.where(indices, details),
        )


def _missing(files: Files) -> Iterable[Finding]:
    name, present = files.checked.name, set(files.present)
    missing = [n for n in range(len(files.paths)) if n not in present]
    if files.are_read:
        folder = getattr(files.checked.dataset, "folder", "")
        yield from _finding(
            files,
            missing,
            ERROR,
            "missing-pictures",
            f"missing in {folder}",
            f"give the folder that their names begin in as DATASETS.{name}.IMAGES, or take the "
            "images out of the annotations",
        )
    elif missing:
        yield from _finding(
            files,
            missing,
            NOTE,
            "pictures-not-looked-at",
            "not looked at, as the data set reads them otherwise than from a file of this name",
        )


def _damaged(files: Files, found: Mapping[int, Picture]) -> Iterable[Finding]:
    damaged = [n for n, picture in found.items() if picture.fault]
    yield from _finding(
        files,
        damaged,
        ERROR,
        "damaged-pictures",
        "cannot be read",
        "fetch them again, or take the images out of the annotations",
        [found[n].fault.replace(shown_path(files.paths[n]), files.shown(n)) for n in damaged],
    )


#: Field of ``PictureReport`` -> severity, kind, text and remedy.
_SIZES = {
    "wrong_size": (
        ERROR,
        "pictures-of-other-size",
        "of another size than the annotations declare",
        "correct width and height, with the boxes, or give the picture that belongs to them",
    ),
    "unknown": (
        WARNING,
        "pictures-perhaps-turned",
        "with an EXIF orientation, and the size does not tell whether the annotations count in "
        "upright pixels: they are turned upright",
        "look at some with tools/visualize_data.py; INPUT.ORIENTATION stored leaves them as "
        "they are",
    ),
    "turned": (
        NOTE,
        "pictures-turned",
        "with an EXIF orientation, and turned by it, as the declared size asks for",
        "",
    ),
    "as_stored": (
        NOTE,
        "pictures-not-turned",
        "with an EXIF orientation, and not turned, as the declared size asks for",
        "",
    ),
}


def _sizes(
    files: Files, headers: Mapping[int, ImageHeader], reader: ImageReader
) -> Iterable[Finding]:
    if not files.are_read:
        return
    sizes = [(height, width) for height, width in files.checked.sizes.tolist()]
    kinds = {n: kind_of_picture(header, sizes[n], reader) for n, header in headers.items()}
    for kind, (severity, name, text, remedy) in _SIZES.items():
        found = [n for n, its_kind in kinds.items() if its_kind == kind]
        details = [
            f"{files.shown(n)}: declared {sizes[n][1]} x {sizes[n][0]}, is "
            f"{headers[n].width} x {headers[n].height}"
            + (f" with orientation {headers[n].orientation}" if headers[n].orientation > 1 else "")
            for n in found
        ]
        yield from _finding(files, found, severity, name, text, remedy, details)


def _modes(
    files: Files, headers: Mapping[int, ImageHeader], reader: ImageReader
) -> Iterable[Finding]:
    for mode, text in (
        ("grey", "grey: the three channels are made equal"),
        ("grey and alpha", "grey with an alpha channel, which is ignored"),
        ("alpha", "with an alpha channel, which is ignored"),
        ("CMYK", "in CMYK: they are converted"),
    ):
        found = [n for n, header in headers.items() if header.mode == mode]
        kind = f"pictures-{mode.lower().replace(' ', '-')}"
        yield from _finding(files, found, NOTE, kind, text)
    deep = [n for n, header in headers.items() if header.bits > 8]
    yield from _finding(
        files,
        deep,
        NOTE,
        "pictures-of-many-bits",
        f"with more than 8 bits per channel, of which INPUT.BIT_DEPTH {reader.bit_depth} are taken "
        "to be used",
    )
    looked = spread([n for n in deep if headers[n].bits == 16], _MOST_DEEP)
    if reader.bit_depth == 16:
        with ThreadPoolExecutor(len(looked) or 1) as pool:
            dark = list(pool.map(lambda n: _is_dark(files.paths[n]), looked))
        yield from _finding(
            files,
            [n for n, is_dark in zip(looked, dark, strict=True) if is_dark],
            WARNING,
            "dark-pictures",
            f"with 16 bits per channel and no value above 4095 ({len(looked)} decoded): nearly "
            "black to the model",
            "if 12 bits are used, give INPUT.BIT_DEPTH 12",
        )


def _is_dark(path: str) -> bool:
    try:
        return uses_few_bits(path)
    except (OSError, ValueError):
        return False
