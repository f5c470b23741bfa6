"""Checking the image files of a data set before training or testing starts."""

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from pet.data.image_file import ImageHeader, ImageReader, read_header, read_values, shown_path

# A folder is listed only if this many files are expected in it, as it may hold millions of others.
_MIN_LISTED = 32
_MOST_PARTS = 8  # of a name that is looked for without its first folders
_THREADS = 8
_MOST_DEEP = 8  # pictures with 16 bits per channel that are decoded
_MOST_NAMED = 5  # pictures named in a line
_DARK = 2**12  # 12-bit values are below this

Sizes = Sequence[tuple[int, int]] | np.ndarray


@dataclass(frozen=True)
class PictureReport:
    """The result of ``inspect_headers``; pictures are given by their indices in the data set.

    Pictures with an EXIF orientation are ``turned`` if only the upright picture has the declared
    size, ``as_stored`` if only the stored one has it, and ``unknown`` if the size does not decide
    (mirrored, upside down or square). These three are empty unless INPUT.ORIENTATION is "auto".
    ``wrong_size`` lists pictures with another size than declared, with their stored width and
    height; ``dark`` pictures have 16 bits per channel and use at most 12; ``unreadable`` pictures
    have the reason.
    """

    looked: int
    turned: tuple[int, ...] = ()
    as_stored: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()
    wrong_size: tuple[tuple[int, tuple[int, int]], ...] = ()
    dark: tuple[int, ...] = ()
    unreadable: tuple[tuple[int, str], ...] = ()


# Names -------------------------------------------------------------------------------------------


def resolve_names(folder: Path, names: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return ``names``, relative to ``folder``, as they exist, and the indices of missing files.

    If a\\b.jpg does not exist but a/b.jpg does, the latter is returned; if neither does, b.jpg.
    Annotation tools write such names, with their own folders, and with %20 for a space. A file that
    two different names could mean stands for neither. Folders are listed once, as checking many
    single files is slow on a network disk.
    """
    missing = _find_missing(folder, list(enumerate(names)))
    tries = {n: _other_spellings(names[n]) for n in missing}
    found: dict[int, str] = {}
    for depth in range(max(map(len, tries.values()), default=0)):
        asked = [(n, tries[n][depth]) for n in tries if n not in found and depth < len(tries[n])]
        lost = set(_find_missing(folder, asked))
        found |= {n: name for n, name in asked if n not in lost}
    meant = defaultdict(set)
    for n, name in enumerate(names):
        meant[os.path.normpath(found.get(n, name))].add(name)
    # Backslashes alone leave no doubt.
    unsure = [n for n in found if found[n] != tries[n][0] or "\\" not in names[n]]
    for n in unsure:
        if len(meant[os.path.normpath(found[n])]) > 1:
            del found[n]
    return (
        [found.get(n, name) for n, name in enumerate(names)],
        [n for n in missing if n not in found],
    )


def describe_names(changed: Sequence[tuple[str, str]]) -> list[str]:
    """Return lines for the log about names that ``resolve_names`` ``changed``: before, after."""
    others = [(before, after) for before, after in changed if before.replace("\\", "/") != after]
    slashed = len(changed) - len(others)
    lines = [f"{slashed} file names have backslashes, and are read with slashes"] * (slashed > 0)
    if others:
        before, after = others[0]
        lines.append(
            f"{len(others)} file names are no files in the image folder, and are read by the end "
            f"of their path: {shown_path(before)} as {shown_path(after)}"
        )
    return lines


def _other_spellings(name: str) -> list[str]:
    """Return the paths that ``name`` may mean, the likeliest first."""
    slashed = name.replace("\\", "/")
    decoded = unquote(slashed)
    found = [slashed, decoded]
    for whole in dict.fromkeys((slashed, decoded)):
        parts = [part for part in re.split(r"/|\?d=", whole) if part not in ("", ".", "..")]
        found += ["/".join(parts[first:]) for first in range(len(parts))[-_MOST_PARTS:]]
    found = sorted(dict.fromkeys(found), key=lambda path: path.count("/"), reverse=True)
    return [path for path in (slashed, *found) if path and path != name]


def _find_missing(folder: Path, names: Iterable[tuple[int, str]]) -> list[int]:
    """Return the numbers, in order, of the names that are no files."""
    by_folder: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, name in names:
        parent, slash, base = name.rpartition("/")
        by_folder[parent + slash].append((number, base))
    missing = []
    for parent, wanted in by_folder.items():
        path = os.path.join(folder, parent)
        listed = _list_files(path) if len(wanted) >= _MIN_LISTED else ()
        # A listing does not resolve links, and shows another spelling on file systems that ignore
        # case.
        missing += [
            number
            for number, base in wanted
            if base not in listed and not os.path.isfile(os.path.join(path, base))
        ]
    return sorted(missing)


def _list_files(folder: str) -> Collection[str]:
    """Return the names of the regular files in ``folder``, without links."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
    except (OSError, ValueError):
        return ()


# Pictures ----------------------------------------------------------------------------------------


def inspect_headers(
    paths: Sequence[str | Path], sizes: Sizes, reader: ImageReader, most: int = 500
) -> PictureReport:
    """Check the headers of up to ``most`` pictures, evenly spaced over the data set.

    ``sizes`` are height and width of each path in the annotation file. Up to 8 pictures with 16
    bits per channel are decoded if ``reader.bit_depth`` is 16, and all pictures without a readable
    header.
    """
    indices = spread(range(len(paths)), most)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda n: look_at_header(paths[n], reader), indices))
        headers = {n: h for n, h in zip(indices, found, strict=True) if isinstance(h, ImageHeader)}
        deep = [n for n, header in headers.items() if header.bits == 16]
        deep = spread(deep, _MOST_DEEP) if reader.bit_depth == 16 else []
        is_dark = list(pool.map(lambda n: _is_dark(paths[n]), deep))
    unreadable = {n: text for n, text in zip(indices, found, strict=True) if isinstance(text, str)}
    unreadable |= {n: text for n, text in zip(deep, is_dark, strict=True) if isinstance(text, str)}
    kinds: dict[str, list[int]] = defaultdict(list)
    for n, header in headers.items():
        kinds[kind_of_picture(header, (int(sizes[n][0]), int(sizes[n][1])), reader)].append(n)
    return PictureReport(
        looked=len(indices),
        turned=tuple(kinds["turned"]),
        as_stored=tuple(kinds["as_stored"]),
        unknown=tuple(kinds["unknown"]),
        wrong_size=tuple((n, (headers[n].width, headers[n].height)) for n in kinds["wrong_size"]),
        dark=tuple(n for n, dark in zip(deep, is_dark, strict=True) if dark is True),
        unreadable=tuple(sorted(unreadable.items())),
    )


def looks_dark(path: str | Path, image: np.ndarray) -> bool:
    """Whether the file of ``image``, read at bit depth 16, has 16 bits and uses at most 12.

    False for a picture that is completely black.
    """
    if image.max() > _DARK // 256:  # not >=, as some decoders round up to it
        return False
    header = read_header(path)
    return header is not None and header.bits == 16 and uses_few_bits(path)


def describe(
    report: PictureReport,
    paths: Sequence[str | Path],
    image_ids: Sequence[int],
    reader: ImageReader,
) -> list[str]:
    """Return a line for each kind of finding, with the config key that changes the behaviour."""

    def line(found: Sequence[int], text: str, notes: Sequence[str] = ()) -> list[str]:
        if not found:
            return []
        if len(found) == 1 and text.startswith("have "):
            text = text.replace("have", "has", 1)
        named = [f"{image_ids[n]} ({shown_path(paths[n])})" for n in found[:_MOST_NAMED]]
        named = [*(notes[:_MOST_NAMED] or named), *["…"] * (len(found) > _MOST_NAMED)]
        return [
            f"{len(found)} of {report.looked} pictures looked at {text}; by image id: "
            f"{', '.join(named)}"
        ]

    key = f"INPUT.ORIENTATION {reader.orientation}"
    sizes = [
        f"{image_ids[n]} ({shown_path(paths[n])}): {w} x {h}" for n, (w, h) in report.wrong_size
    ]
    reasons = [f"{image_ids[n]}: {reason}" for n, reason in report.unreadable]
    return [
        *line(
            report.turned,
            "have the declared size only when turned as the EXIF orientation says, and so they are "
            f"turned ({key})",
        ),
        *line(
            report.as_stored,
            "have an EXIF orientation, but the declared size only as stored, and so they are not "
            f"turned ({key})",
        ),
        *line(
            report.unknown,
            "have an EXIF orientation, and their size does not tell whether the annotations count "
            "in upright pixels: they are turned upright, as Detectron2 does; INPUT.ORIENTATION "
            "stored leaves them as they are",
        ),
        *line(
            [n for n, _ in report.wrong_size],
            f"have another size, as width x height, than the annotation file says ({key})",
            sizes,
        ),
        *line(
            report.dark,
            "have 16 bits a channel and no value above 4095, so that they are nearly black to the "
            "model; if 12 bits are used, give INPUT.BIT_DEPTH 12",
        ),
        *line([n for n, _ in report.unreadable], "cannot be read", reasons),
    ]


def spread(items: Sequence[int], most: int) -> list[int]:
    """Return up to ``most`` of ``items``, evenly spaced, in their order."""
    count = min(most, len(items))
    return [items[int(n)] for n in np.linspace(0, len(items) - 1, count).round()]


def look_at_header(path: str | Path, reader: ImageReader) -> ImageHeader | str:
    """Return the header of a picture, or the reason why it cannot be read."""
    try:
        header = read_header(path)
        if header is None:
            height, width = reader.read(path).shape[:2]
            header = ImageHeader(width, height)
        reader.plan(path, header, None)
    except (OSError, ValueError) as error:
        return str(error)
    return header


def kind_of_picture(header: ImageHeader, size: tuple[int, int], reader: ImageReader) -> str:
    """Return the field of the report for a picture of declared ``size`` (height, width), or ""."""
    upright, stored = header.upright_size == size, header.stored_size == size
    if not {"auto": upright or stored, "upright": upright, "stored": stored}[reader.orientation]:
        return "wrong_size"
    if header.orientation == 1 or reader.orientation != "auto":
        return ""
    if upright and stored:
        return "unknown"
    return "turned" if upright else "as_stored"


def _is_dark(path: str | Path) -> bool | str:
    """Return whether a picture uses few of its 16 bits, or the reason why it cannot be read."""
    try:
        return uses_few_bits(path)
    except (OSError, ValueError) as error:
        return str(error)


def uses_few_bits(path: str | Path) -> bool:
    """Whether the file has 16 bits per channel and uses at most 12; False if it is all black."""
    values = read_values(path)
    return values.dtype == np.uint16 and 0 < int(values.max()) < _DARK
