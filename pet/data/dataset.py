"""What a data set is to the loaders and the engine, whatever format it comes from."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from pet.annotations import Annotations, read_annotations
from pet.data.sample import Sample
from pet.structures import ImageInfo, KeypointLayout


class Dataset(Protocol):
    """Images, each with its objects, and K classes, whose labels are 1..K.

    Workers get a copy of it, so that it is pickled; what is large in it should be arrays.
    """

    @property
    def name(self) -> str:
        """The name in the config."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names, in order of the labels."""

    @property
    def category_ids(self) -> tuple[int, ...]:
        """K ids, by which results and ground truth name the classes."""

    @property
    def num_classes(self) -> int:
        """K + 1: the labels with the background, 0."""

    @property
    def image_ids(self) -> tuple[int, ...]:
        """The id of each image."""

    @property
    def sizes(self) -> np.ndarray:
        """(images, 2) int64: height and width of each in pixels, as ``read`` gives it."""

    @property
    def keypoint_layout(self) -> KeypointLayout | None:
        """The names of the P points of an object; None where no keypoints are read."""

    def __len__(self) -> int:
        """Return the number of images."""

    def info(self, index: int) -> ImageInfo:
        """Return where image ``index`` comes from, without reading it."""

    def labels(self, index: int) -> list[int]:
        """Return the labels, 1..K, of the objects of image ``index``, without reading it."""

    def read(self, index: int) -> Sample:
        """Return image ``index`` and its N objects, in pixels of that image.

        Raises FileNotFoundError or ValueError where it cannot be read: in testing the image is
        then reported, in training it ends the run.
        """


@runtime_checkable
class HasGroundTruth(Protocol):
    """A data set that brings what its results are scored by."""

    def ground_truth(self) -> Annotations:
        """Return the annotations of all images, with a category for each class."""


@runtime_checkable
class HasAnnotationFile(Protocol):
    """A data set whose results are scored by a file in COCO's format."""

    @property
    def annotation_file(self) -> str | Path:
        """The path of the file."""


@runtime_checkable
class ChecksPictures(Protocol):
    """A data set that can look at its pictures before the long work."""

    def check_pictures(self) -> None:
        """Log what is odd; raises FileNotFoundError or ValueError where pictures are no good."""


def ground_truth_of(dataset: Dataset, cache: Path | None = None) -> Annotations:
    """Return what the results of ``dataset`` are scored by; ``cache`` as ``read_annotations``.

    Raises ValueError where it has none, and as ``read_annotations``.
    """
    if isinstance(dataset, HasGroundTruth):
        return dataset.ground_truth()
    if isinstance(dataset, HasAnnotationFile):
        return read_annotations(dataset.annotation_file, cache)
    raise ValueError(
        f"data set {dataset.name!r} cannot be tested on, as a {type(dataset).__name__} has neither "
        "a method ground_truth nor an annotation_file to score by"
    )
