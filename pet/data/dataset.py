"""The interface of data sets of any format to the loaders and the engine."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from pet.annotations import Annotations, read_annotations
from pet.data.sample import Sample
from pet.structures import ImageInfo, KeypointLayout


class Dataset(Protocol):
    """Images, each with its objects, and K classes, whose labels are 1..K.

    It is pickled, as workers get a copy; large members should be arrays.
    """

    @property
    def name(self) -> str:
        """The name in the config."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, in order of the labels."""

    @property
    def category_ids(self) -> tuple[int, ...]:
        """K ids, which results and ground truth use for the classes."""

    @property
    def num_classes(self) -> int:
        """K + 1: the labels with the background, 0."""

    @property
    def image_ids(self) -> tuple[int, ...]:
        """The id of each image."""

    @property
    def sizes(self) -> np.ndarray:
        """Height and width (images, 2) int64 of each image, in pixels, as ``read`` gives it."""

    @property
    def keypoint_layout(self) -> KeypointLayout | None:
        """The names of the P points of an object, or None if no keypoints are read."""

    def __len__(self) -> int:
        """Return the number of images."""

    def info(self, index: int) -> ImageInfo:
        """Return the source of image ``index``, without reading it."""

    def labels(self, index: int) -> list[int]:
        """Return the labels, 1..K, of the objects of image ``index``, without reading it."""

    def read(self, index: int) -> Sample:
        """Return image ``index`` and its N objects, in pixels of that image.

        Raises FileNotFoundError or ValueError if it cannot be read; testing then reports the image,
        training ends.
        """


@runtime_checkable
class HasGroundTruth(Protocol):
    """A data set that provides the ground truth of its results."""

    def ground_truth(self) -> Annotations:
        """Return the annotations of all images, with a category for each class."""


@runtime_checkable
class HasAnnotationFile(Protocol):
    """A data set whose ground truth is a file in COCO's format."""

    @property
    def annotation_file(self) -> str | Path:
        """The path of the file."""


@runtime_checkable
class ChecksPictures(Protocol):
    """A data set that can check its pictures before training or testing starts."""

    def check_pictures(self) -> None:
        """Log oddities; raise FileNotFoundError or ValueError for unusable pictures."""


def ground_truth_of(dataset: Dataset, cache: Path | None = None) -> Annotations:
    """Return the ground truth of ``dataset``; ``cache`` as in ``read_annotations``.

    Raises ValueError if it has none, and the errors of ``read_annotations``.
    """
    if isinstance(dataset, HasGroundTruth):
        return dataset.ground_truth()
    if isinstance(dataset, HasAnnotationFile):
        return read_annotations(dataset.annotation_file, cache)
    raise ValueError(
        f"data set {dataset.name!r} cannot be tested on, as a {type(dataset).__name__} has neither "
        "a method ground_truth nor an annotation_file to score by"
    )
