"""Several data sets of the same classes, one after the other."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from pet.data.dataset import Dataset
from pet.data.sample import Sample
from pet.structures import ImageInfo
from pet.structures.class_names import UNUSED_CLASS


class ConcatDataset:
    """The images of several data sets, for training; image ids may repeat."""

    def __init__(self, parts: Sequence[Dataset]) -> None:
        """Join ``parts``, in order; raises ValueError if their classes differ."""
        first = parts[0]
        for part in parts[1:]:
            _check_classes(first, part)
            _check_keypoints(first, part)
        self.name = "+".join(part.name for part in parts)
        self.class_names = first.class_names
        self.category_ids = first.category_ids
        self.num_classes = first.num_classes
        self.keypoint_layout = first.keypoint_layout
        self.image_ids = tuple(image_id for part in parts for image_id in part.image_ids)
        self.sizes = np.concatenate([part.sizes for part in parts])
        self.parts = tuple(parts)
        self._ends = tuple(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def info(self, index: int) -> ImageInfo:
        """Return the source of image ``index``, without reading it."""
        part, place = self._find(index)
        return part.info(place)

    def labels(self, index: int) -> list[int]:
        """Return the labels, 1..K, of the objects of image ``index``."""
        part, place = self._find(index)
        return part.labels(place)

    def read(self, index: int) -> Sample:
        """Return image ``index`` and its annotations; raises the errors of its data set."""
        part, place = self._find(index)
        return part.read(place)

    def _find(self, index: int) -> tuple[Dataset, int]:
        index = range(len(self))[index]
        number = int(np.searchsorted(self._ends, index, side="right"))
        part = self.parts[number]
        return part, index - self._ends[number] + len(part)


def _check_keypoints(first: Dataset, other: Dataset) -> None:
    names, other_names = (
        layout.names if (layout := part.keypoint_layout) else () for part in (first, other)
    )
    if names != other_names:
        raise ValueError(
            f"data sets {first.name!r} and {other.name!r} cannot be trained together, because "
            f"their keypoints differ: {', '.join(names) or 'none'} in the first, "
            f"{', '.join(other_names) or 'none'} in the second"
        )


def _check_classes(first: Dataset, other: Dataset) -> None:
    if tuple(first.class_names) == tuple(other.class_names):
        return
    names, other_names = (
        [name for name in part.class_names if name != UNUSED_CLASS] for part in (first, other)
    )
    only_first = sorted(set(names) - set(other_names))
    only_other = sorted(set(other_names) - set(names))
    if only_first or only_other:
        difference = (
            f"only in the first: {', '.join(only_first) or 'none'}; "
            f"only in the second: {', '.join(only_other) or 'none'}"
        )
    elif names == other_names:
        difference = "their category ids are not the same"
    else:
        difference = "their order by category id is not the same"
    raise ValueError(
        f"data sets {first.name!r} and {other.name!r} cannot be trained together, because their "
        f"classes differ: {difference}"
    )
