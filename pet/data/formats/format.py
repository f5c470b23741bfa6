"""A format of data sets: where its parts lie in a folder, and how they are read."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pet.annotations import annotations_from_records
from pet.data.datasets import CocoDataset
from pet.data.image_file import ImageReader

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """A part of a data set on disk; ``name`` is "train", "val", "test", or "all" if undivided.

    Pascal VOC has a second list of the pictures with masks for each: "train-masks", "val-masks".
    """

    name: str
    images: Path  # folder
    annotations: Path  # file or folder, as the format has it


@dataclass(frozen=True)
class Records:
    """The content of a part as COCO's records, as ``annotations_from_records`` takes them.

    ``notes`` has a line for the log for each kind of flaw: what was left out or changed, and how
    often.
    """

    images: list[dict[str, Any]]
    categories: list[dict[str, Any]]
    objects: list[dict[str, Any]]
    notes: tuple[str, ...] = ()


class ReadRecords(Protocol):
    """Reads a part."""

    def __call__(
        self, images: Path, annotations: Path, *, classes: Sequence[str], reader: ImageReader
    ) -> Records:
        """Return the records of the pictures under ``images``.

        ``classes`` are the names of the labels 1..K if the user gave them, and otherwise empty.
        ``reader`` reads pictures if their size is needed. Raises FileNotFoundError or ValueError,
        which name the file, the place in it, and a remedy.
        """


@dataclass(frozen=True)
class Format:
    """A format of data sets, whose ``name`` is a ``DATASETS.<name>.TYPE``."""

    name: str
    annotations: str  # "file", "folder" or "file or folder": what a part's annotations are
    find: Callable[[Path], tuple[Part, ...]]  # a folder -> its parts, () if of another format
    read: ReadRecords
    scores: tuple[str, ...] = ()  # of its own: "voc", beside COCO's, or "lvis", in their place

    def dataset(
        self,
        name: str,
        images: Path,
        annotations: Path,
        *,
        classes: Sequence[str] = (),
        reader: ImageReader | None = None,
        cache: Path | None = None,
        **options: Any,
    ) -> CocoDataset:
        """Read a part as a data set; the arguments are those of ``CocoDataset``."""
        reader = reader or ImageReader()
        records = self.read(images, annotations, classes=classes, reader=reader)
        for note in records.notes:
            _logger.info("data set %s: %s", name, note)
        table = annotations_from_records(
            annotations, records.images, records.categories, records.objects
        )
        dataset = CocoDataset(name, images, table, reader=reader, classes=classes, **options)
        dataset.scores = self.scores
        return dataset
