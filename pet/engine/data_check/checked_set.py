"""A data set to look at: its images, annotations and usable boxes as arrays.

N images; M annotations of the table; B boxes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pet.annotations import Annotations
from pet.data.dataset import Dataset
from pet.structures.class_names import UNUSED_CLASS


@dataclass(frozen=True)
class Boxes:
    """The usable boxes of objects, clipped to their images as in training."""

    numbers: np.ndarray  # (B,) int64, of the annotations
    labels: np.ndarray  # (B,) int64, 1..K
    images: np.ndarray  # (B,) int64, 0..N-1
    corners: np.ndarray  # (B, 4) float64 x1, y1, x2, y2, in pixels of the image

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def sides(self) -> np.ndarray:
        """(B, 2) float64: height and width in pixels of the image."""
        x1, y1, x2, y2 = self.corners.T
        return np.stack((y2 - y1, x2 - x1), axis=1)

    def sampled(self, most: int) -> "Boxes":
        """Return up to ``most`` of the boxes, evenly spaced."""
        if len(self) <= most:
            return self
        places = np.linspace(0, len(self) - 1, most).astype(np.int64)
        return Boxes(*(column[places] for column in self._columns))

    @property
    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.numbers, self.labels, self.images, self.corners

    def resized(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return the corners (B, 4) after images of sizes ``old`` (N, 2) got those of ``new``."""
        ratios = (new / np.maximum(old, 1))[self.images]
        return self.corners * np.concatenate((ratios[:, ::-1], ratios[:, ::-1]), axis=1)


@dataclass(frozen=True)
class CheckedSet:
    """A data set, and the ground truth it was read from."""

    dataset: Dataset
    is_train: bool
    table: Annotations
    with_masks: bool = False  # whether masks are trained or scored

    @property
    def name(self) -> str:
        """The name in the config."""
        return self.dataset.name

    @property
    def purpose(self) -> str:
        """The word for its use."""
        return "train" if self.is_train else "test"

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names of the labels 1..K."""
        return tuple(self.dataset.class_names)

    @cached_property
    def used_labels(self) -> np.ndarray:
        """The labels that stand for a class."""
        used = [n for n, name in enumerate(self.class_names, 1) if name != UNUSED_CLASS]
        return np.array(used, np.int64)

    @cached_property
    def image_ids(self) -> np.ndarray:
        """(N,) int64."""
        return np.array(self.dataset.image_ids, np.int64)

    @cached_property
    def sizes(self) -> np.ndarray:
        """(N, 2) int64: height and width in pixels."""
        return np.asarray(self.dataset.sizes, np.int64).reshape(-1, 2)

    @cached_property
    def index_of(self) -> np.ndarray:
        """(M,) int64: the index of each annotation's image, -1 if the data set leaves it out."""
        table = self.table
        place_of = np.full(len(table.image_ids), -1)
        places = table.places(self.image_ids)
        known = places >= 0
        place_of[places[known]] = np.flatnonzero(known)
        return place_of[table.image_of]

    @cached_property
    def chosen(self) -> np.ndarray:
        """(M,) bool: the annotations of the images."""
        return self.index_of >= 0

    @cached_property
    def objects(self) -> np.ndarray:
        """(M,) bool: those that are no crowds."""
        return self.chosen & ~self.table.crowds

    @cached_property
    def boxes(self) -> Boxes:
        """The boxes that can be used: those of objects without a flaw."""
        table = self.table
        usable = self.objects & (table.box_flaws == 0)
        if self.with_masks and self.is_train:
            usable &= table.mask_flaws == 0
        numbers = np.flatnonzero(usable)
        images = self.index_of[numbers]
        low, sides = table.boxes[numbers, :2], table.boxes[numbers, 2:]
        limits = self.sizes[images][:, ::-1]
        corners = np.concatenate((low, low + sides), axis=1).clip(0, np.tile(limits, 2))
        return Boxes(numbers, self.labels_of(numbers), images, corners)

    def labels_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return the labels, 1..K, of annotations ``numbers``, 0 if no label is theirs."""
        ids = np.array(self.dataset.category_ids, np.int64)
        order = np.argsort(ids, kind="stable")
        wanted = self.table.category_ids[numbers]
        if not len(ids):
            return np.zeros(len(wanted), np.int64)
        found = order[np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)]
        return np.where(ids[found] == wanted, found + 1, 0)

    @cached_property
    def objects_per_image(self) -> np.ndarray:
        """(N,) int64: the number of usable boxes."""
        return np.bincount(self.boxes.images, minlength=len(self.image_ids))

    @cached_property
    def objects_per_class(self) -> np.ndarray:
        """(K,) int64: the number of usable boxes of labels 1..K."""
        return self._per_class(self.boxes.labels)

    @cached_property
    def images_per_class(self) -> np.ndarray:
        """(K,) int64: the number of images with a usable box of labels 1..K."""
        pairs = np.unique(np.stack((self.boxes.images, self.boxes.labels)), axis=1)
        return self._per_class(pairs[1])

    def _per_class(self, labels: np.ndarray) -> np.ndarray:
        return np.bincount(labels, minlength=len(self.class_names) + 1)[1:]
