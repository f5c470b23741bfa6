"""The content of an annotation file as arrays.

N images in order of id; M annotations, grouped by image, within an image in the order of the file;
G polygons.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from pet.annotations.columns import Columns

Entry = dict[str, Any]

#: Kinds of masks: none, polygons, or RLE.
NO_MASK, POLYGONS, RUNS = 0, 1, 2
#: The largest number of pixels of an image in pycocotools.
MOST_PIXELS = 2**32 - 1
#: The lists of category ids that an image of LVIS has: ``pet/annotations/federated.py``.
LISTS = ("neg_category_ids", "not_exhaustive_category_ids")
#: How many images have a category of LVIS: at most 10 ("r"), at most 100 ("c"), or more ("f").
FREQUENCIES = ("r", "c", "f")


@dataclass(frozen=True)
class Annotations:
    """Checked images, categories and annotations of a file, or of records.

    Flawed annotations are included; their flaws (``pet/annotations/flaws.py``) are recorded.
    """

    file: Path  # the file, or the given name of records
    columns: Columns
    added: tuple[tuple[int, str], ...] = ()  # id and name of categories that are not in the file
    by_url: bool = False  # whether the "coco_url" of an image without file name gives its name

    def __getstate__(self) -> dict[str, Any]:
        # Without cached properties, which another process computes itself.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def with_classes(self, names: Sequence[str]) -> "Annotations":
        """Return a copy with a new category, of a free id, for each of ``names`` without one."""
        known = {category["name"] for category in self.categories}
        lacking = [name for name in names if name not in known]
        if not lacking:
            return self
        taken = {category["id"] for category in self.categories}
        free = (number for number in count(1) if number not in taken)
        return replace(self, added=(*self.added, *zip(free, lacking, strict=False)))

    @property
    def has_annotations(self) -> bool:
        """Whether the file has a list of annotations, which may be empty."""
        return bool(self.columns.facts["has_annotations"])

    @property
    def read_otherwise(self) -> dict[str, int]:
        """Kind of values that were read although not in COCO's form -> their number."""
        return dict(self.columns.facts["read_otherwise"])

    @cached_property
    def categories(self) -> list[Entry]:
        """The categories in order of id.

        They have "id" and "name", and those of "keypoints", "skeleton" and "frequency" (of LVIS, a
        text) that the file has.
        """
        found = [*self.columns.facts["categories"]]
        found += [{"id": number, "name": name} for number, name in self.added]
        return sorted(found, key=lambda category: category["id"])

    @cached_property
    def image_ids(self) -> np.ndarray:
        """(N,) int64: the ids of the images, ascending."""
        return self.columns["image_id"]

    @cached_property
    def sizes(self) -> np.ndarray:
        """(N, 2) int64: height and width in pixels, 0 if the file has none."""
        return self.columns["image_size"]

    @cached_property
    def first(self) -> np.ndarray:
        """(N + 1,) int64: image n has the annotations first[n] to first[n + 1] - 1."""
        return self.columns["first"]

    @cached_property
    def image_of(self) -> np.ndarray:
        """(M,) int64: the index of each annotation's image, 0..N-1."""
        return np.repeat(np.arange(len(self.image_ids)), np.diff(self.first))

    @cached_property
    def ids(self) -> np.ndarray:
        """(M,) int64: the ids of the annotations."""
        return self.columns["id"]

    @cached_property
    def category_ids(self) -> np.ndarray:
        """(M,) int64: the category ids of the annotations."""
        return self.columns["category_id"]

    @cached_property
    def boxes(self) -> np.ndarray:
        """(M, 4) float64: x, y, width, height in pixels; NaN if there is no box."""
        return self.columns["box"]

    @cached_property
    def areas(self) -> np.ndarray:
        """(M,) float64: areas in pixels, NaN if missing or implausible."""
        return self.columns["area"]

    @cached_property
    def crowds(self) -> np.ndarray:
        """(M,) bool: whether an annotation is a crowd."""
        return self.columns["crowd"].view(bool)

    @cached_property
    def box_flaws(self) -> np.ndarray:
        """(M,) uint8: the flaw of the box, or 0."""
        return self.columns["box_flaw"]

    @cached_property
    def mask_flaws(self) -> np.ndarray:
        """(M,) uint8: the flaw of the mask, or 0."""
        return self.columns["mask_flaw"]

    @cached_property
    def point_flaws(self) -> np.ndarray:
        """(M,) uint8: the flaw of the keypoints, or 0; 0 also if there are none."""
        return self.columns["point_flaw"]

    @cached_property
    def doubts(self) -> np.ndarray:
        """(M,) uint8: bits for valid but implausible values."""
        return self.columns["doubt"]

    @cached_property
    def has_lists(self) -> np.ndarray:
        """(N, 2) bool: which of ``LISTS`` an image has."""
        return self.columns["lists"].view(bool)

    def listed(self, key: str) -> np.ndarray:
        """Return (P, 2) int64: image id and category id of each item of the lists ``key``."""
        return self.columns[key]

    def nameless(self) -> np.ndarray:
        """Return the indices of the images without a file name."""
        lengths = self.columns["name"][:, 1]
        if self.by_url:
            lengths = np.maximum(lengths, self.columns["url_name"][:, 1])
        return np.flatnonzero(lengths < 0)

    def file_name(self, place: int) -> str | None:
        """Return the file name of image ``place`` as in the file, or None if it has none."""
        start, length = self.columns["name"][place].tolist()
        if length < 0 and self.by_url:
            start, length = self.columns["url_name"][place].tolist()
        return None if length < 0 else self._text(start, length).decode("utf-8", "surrogatepass")

    def file_names(self, places: Sequence[int] | np.ndarray) -> list[str | None]:
        """Return the file names of the images ``places``."""
        return [self.file_name(int(place)) for place in places]

    def places(self, image_ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the index of each of ``image_ids``, -1 if the file does not have it."""
        wanted = np.asarray(image_ids, np.int64)
        if not len(self.image_ids):
            return np.full(len(wanted), -1)
        found = np.minimum(np.searchsorted(self.image_ids, wanted), len(self.image_ids) - 1)
        return np.where(self.image_ids[found] == wanted, found, -1)

    def objects_per_image(self) -> np.ndarray:
        """Return (N,) int64: the number of annotations with a usable box that are no crowds."""
        counted = (self.box_flaws == 0) & ~self.crowds
        return np.bincount(self.image_of[counted], minlength=len(self.image_ids))

    def polygons(self, number: int) -> tuple[np.ndarray, ...]:
        """Return the usable polygons of annotation ``number``, each (n, 2) float64: x, y."""
        rows = self.columns["polygon_part"][self._rows("polygon", number)].tolist()
        numbers = self.columns.numbers
        return tuple(numbers[start : start + length].reshape(-1, 2) for start, length in rows)

    def rle(self, number: int) -> Entry:
        """Return the mask of annotation ``number`` as COCO's compressed RLE, "counts" as bytes."""
        row = self._rows("rle", number).start
        start, length = self.columns["rle_text"][row].tolist()
        size = self.columns["rle_size"][row].tolist()
        return {"size": size, "counts": self._text(start, length)}

    def is_polygons(self, number: int) -> bool:
        """Whether the mask of annotation ``number`` is written as polygons."""
        return bool(self.columns["mask_kind"][number] == POLYGONS)

    def keypoints(self, number: int) -> np.ndarray:
        """Return the keypoints of annotation ``number``, (3 * P,) float64: x, y, visibility, ..."""
        rows = self.columns["point_range"][self._rows("point", number)].tolist()
        start, length = rows[0] if rows else (0, 0)
        return self.columns.numbers[start : start + length]

    def with_keypoints(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the annotations with keypoints, (P,), and the number of their values, (P,)."""
        return self.columns["point_owner"], self.columns["point_range"][:, 1]

    def _rows(self, kind: str, number: int) -> slice:
        owner = self.columns[f"{kind}_owner"]
        return slice(
            int(np.searchsorted(owner, number)), int(np.searchsorted(owner, number, "right"))
        )

    def _text(self, start: int, length: int) -> bytes:
        return self.columns.bytes[start : start + length].tobytes()
