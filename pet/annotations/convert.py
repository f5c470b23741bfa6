"""Converting the text of an annotation file to checked columns."""

import gc
import io
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from pet.annotations import flaws
from pet.annotations.builder import NO_ID, AnnotationColumns
from pet.annotations.columns import ColumnWriter
from pet.annotations.federated import list_columns
from pet.annotations.json_pieces import PiecewiseFile, UnusualJsonError, load_json, without_mark
from pet.annotations.sections import image_columns, read_categories
from pet.annotations.values import SHOWN, Otherwise, short, shorten

_logger = logging.getLogger(__name__)

#: Increase it when the cached columns or the rules of their check change.
VERSION = 3
#: Size in bytes from which a file is read in pieces and cached.
LARGE = 16 << 20
_ENTRIES = 20_000  # annotations checked at a time
_SECONDS_BETWEEN_LINES = 10.0

Arrays = dict[str, np.ndarray]
Output = BinaryIO | io.BytesIO


def convert(file: Path, output: Output, source: Mapping[str, Any]) -> None:
    """Read and check ``file``, and write its columns, with ``source`` in their facts.

    Raises ValueError as ``read_annotations`` does.
    """
    if file.stat().st_size >= LARGE:
        try:
            _Conversion(file, output).in_pieces(source)
            return
        except UnusualJsonError:
            output.seek(0)
            output.truncate()
    _Conversion(file, output).as_a_whole(source)


def convert_sections(name: Path, sections: Mapping[str, list[Any]], output: Output) -> None:
    """Check ``sections``, lists of entries as a file has them, and write their columns.

    ``name`` stands for the file in messages. Raises ValueError as ``read_annotations``.
    """
    _Conversion(name, output).of_sections(dict(sections), {})


class _Conversion:
    """The conversion of one file."""

    def __init__(self, file: Path, output: Output) -> None:
        self._file, self._otherwise = file, Otherwise()
        self._writer = ColumnWriter(output)
        self._builder = AnnotationColumns(file, self._writer, self._otherwise)

    def in_pieces(self, source: Mapping[str, Any]) -> None:
        """Convert the file piece by piece; UnusualJsonError means that this is not possible."""
        text = PiecewiseFile(self._file)
        trouble: ValueError | None = None
        with _progress(self._file, len(text)) as show, _no_garbage_collection():
            for entries, place in text.pieces():
                show(place)
                try:
                    if trouble is None:
                        self._builder.add(entries)
                except ValueError as error:
                    trouble = error  # raised later, if this is the list of annotations
        sections = text.rest()
        if trouble is not None:
            raise trouble
        if text.mark:
            self._otherwise[text.mark] += 1
        self._finish(sections, source)

    def as_a_whole(self, source: Mapping[str, Any]) -> None:
        """Convert the file with all of it in memory."""
        self.of_sections(self._load(), source)

    def of_sections(self, sections: dict[str, Any], source: Mapping[str, Any]) -> None:
        """Convert ``sections`` in memory; this removes the images from ``sections``."""
        entries = sections.get("annotations", [])
        for start in range(0, len(entries), _ENTRIES):
            self._builder.add(entries[start : start + _ENTRIES])
        self._finish(sections, source)

    def _load(self) -> dict[str, Any]:
        try:
            data, mark = without_mark(self._file.read_bytes())
            content = load_json(data)
        except ValueError as error:
            what = f"is not JSON text: {error}" if self._file.stat().st_size else "is empty"
            raise ValueError(f"the annotation file {self._file} {what}") from None
        if mark:
            self._otherwise[mark] += 1
        if not isinstance(content, dict):
            raise ValueError(
                f"the annotation file {self._file} holds a {type(content).__name__}, not COCO's "
                "sections images, annotations and categories"
            )
        if not isinstance(content.get("annotations", []), list):
            raise ValueError(self._no_list("annotations", content))
        return content

    def _no_list(self, section: str, content: Mapping[str, Any]) -> str:
        names = [short(name).strip("'") for name in content]
        found = f"there are {shorten(names) or 'none'}"
        return f"{self._file} has no list {section!r} among its sections; {found}"

    def _finish(self, sections: dict[str, Any], source: Mapping[str, Any]) -> None:
        """Check the ids and write all columns; removes the images from ``sections``."""
        for section in ("images", "categories"):
            if not isinstance(sections.get(section), list):
                raise ValueError(self._no_list(section, sections))
        entries = sections.pop("images")
        images = image_columns(self._file, entries, self._writer, self._otherwise)
        images["lists"], listed = list_columns(
            self._file, images["image_id"], entries, self._otherwise
        )
        del entries  # they are many
        found = self._builder.joined()
        used = set(np.unique(found["category_id"]).tolist())
        categories = read_categories(self._file, sections["categories"], self._otherwise, used)
        self._number(found["id"])
        self._check_ids(images["image_id"], categories, found)
        order = np.argsort(images["image_id"], kind="stable")
        images = {name: column[order] for name, column in images.items()}
        image_of = np.searchsorted(images["image_id"], found.pop("image_id"))
        masks = {"polygon": self._builder.polygons(), "rle": self._builder.rles()}
        _check(found, masks["polygon"], masks["rle"], images["image_size"][image_of])
        by_image = np.argsort(image_of, kind="stable")
        new_place = np.empty_like(by_image)
        new_place[by_image] = np.arange(len(by_image))
        arrays = {**images, **listed}
        arrays |= {name: column[by_image] for name, column in found.items()}
        for name, rows in {**masks, "point": self._builder.points()}.items():
            rows["owner"] = new_place[rows["owner"]]
            by_owner = np.argsort(rows["owner"], kind="stable")
            arrays |= {f"{name}_{key}": column[by_owner] for key, column in rows.items()}
        arrays["first"] = np.append(0, np.cumsum(np.bincount(image_of, minlength=len(order))))
        facts = {
            "source": source,
            "categories": categories,
            "has_annotations": "annotations" in sections,
            "read_otherwise": dict(self._otherwise),
        }
        self._writer.finish(arrays, facts)

    def _number(self, ids: np.ndarray) -> None:
        """Give annotations without an id the lowest free numbers, in place."""
        missing = ids == NO_ID
        count = int(missing.sum())
        if count:
            self._otherwise["annotations without an id"] += count
            ids[missing] = np.setdiff1d(np.arange(1, len(ids) + 1), ids)[:count]

    def _check_ids(
        self, image_ids: np.ndarray, categories: list[dict[str, Any]], found: Arrays
    ) -> None:
        category_ids = np.array([category["id"] for category in categories], np.int64)
        for section, ids in (
            ("images", image_ids),
            ("categories", category_ids),
            ("annotations", found["id"]),
        ):
            numbers, times = np.unique(ids, return_counts=True)
            twice = numbers[times > 1].tolist()
            if twice:
                raise ValueError(
                    f"{self._file}: ids that come more than once in {section}: {shorten(twice)}"
                )
        for key, known, section in (
            ("image_id", image_ids, "images"),
            ("category_id", category_ids, "categories"),
        ):
            lost = np.flatnonzero(~np.isin(found[key], known))
            if len(lost):
                named = [
                    f"annotation {number} has {value}"
                    for number, value in zip(
                        found["id"][lost[:SHOWN]], found[key][lost[:SHOWN]], strict=True
                    )
                ]
                raise ValueError(
                    f"{self._file}: {key} not among its {section}: {shorten(named, len(lost))}"
                )


def _check(found: Arrays, polygons: Arrays, rles: Arrays, sizes: np.ndarray) -> None:
    """Record flaws and doubts in ``found``, and remove flawed polygons from ``polygons``.

    ``sizes`` (M, 2) are height and width of each annotation's image.
    """
    found["box_flaw"] = flaws.box_flaws(found["box"], found["box_flaw"], sizes)
    flaw = flaws.polygon_flaws(
        polygons["bounds"], polygons.pop("perimeter"), sizes[polygons["owner"]]
    )
    worst = np.zeros(len(sizes), np.uint8)
    np.maximum.at(worst, polygons["owner"], flaw)
    for name, column in polygons.items():
        polygons[name] = column[flaw == 0]
    worst[polygons["owner"]] = 0  # one usable polygon is a mask
    found["mask_flaw"] = np.maximum(found["mask_flaw"], worst)
    fits = (rles["size"] == sizes[rles["owner"]]).all(axis=1)
    unknown = (sizes[rles["owner"]] == 0).any(axis=1)
    found["mask_flaw"][rles["owner"][~(fits | unknown)]] = flaws.OTHER_SIZE
    bounds = np.full((len(sizes), 4), np.nan)
    bounds[rles["owner"]] = rles.pop("bounds")
    _unite(bounds, polygons["owner"], polygons.pop("bounds"))
    bounds[found["mask_flaw"] > 0] = np.nan
    found["doubt"] = flaws.doubts(
        boxes=found["box"], sizes=sizes, mask_bounds=bounds, usable=found["box_flaw"] == 0
    )
    poor = found.pop("poor_area") | flaws.is_poor_area(found["area"], found["box"])
    found["doubt"][poor] |= flaws.POOR_AREA
    found["area"][poor] = np.nan


def _unite(bounds: np.ndarray, owner: np.ndarray, parts: np.ndarray) -> None:
    """Set ``bounds`` (M, 4) of annotations ``owner`` (G,), ascending, to those of their parts."""
    if len(owner):
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        low = np.minimum.reduceat(parts[:, :2], starts)
        high = np.maximum.reduceat(parts[:, 2:], starts)
        bounds[owner[starts]] = np.concatenate((low, high), axis=1)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Disable the garbage collector in the block, as millions of new objects have no cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _progress(file: Path, size: int) -> Iterator[Callable[[int], Any]]:
    """Yield a function that shows how many of ``size`` bytes are read, as a bar or log lines."""
    _logger.info("reading %s (%d MB), once: what is found is kept", file, size >> 20)
    label = f"reading {file.name}"
    hidden = not sys.stderr.isatty()
    with tqdm(desc=label, total=size, unit="B", unit_scale=True, disable=hidden) as bar:
        last = time.monotonic()

        def show(place: int) -> None:
            nonlocal last
            bar.update(place - bar.n)
            if hidden and time.monotonic() - last > _SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                _logger.info("%s: %d %%", label, 100 * place // size)

        yield show
