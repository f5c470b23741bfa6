"""Data sets in COCO's format."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pet.annotations import Annotations, read_annotations
from pet.annotations.values import shorten
from pet.data.datasets.class_labels import check_classes, fix_classes, label_categories
from pet.data.datasets.coco_keypoints import (
    KeypointOptions,
    check_points,
    count_labelled,
    read_layout,
    read_points,
)
from pet.data.datasets.coco_report import describe_nothing, log_report
from pet.data.image_file import ImageReader, shown_path
from pet.data.picture_check import (
    describe,
    describe_names,
    inspect_headers,
    resolve_names,
)
from pet.data.sample import Sample
from pet.structures import BitMask, ImageInfo, KeypointLayout, Mask, PolygonMask

logger = logging.getLogger(__name__)


class CocoDataset:
    """Images in a folder, with annotations from a file in COCO's format or from records.

    Crowds are left out of the annotations. Annotations that cannot be used (a box that is empty,
    not finite or outside the image; if masks are read, no valid polygon or RLE) are left out and
    logged in training and testing; in testing, an object whose mask alone cannot be used still
    counts for the score of boxes. ``dropped`` counts those of training, by image id.
    ``annotations`` has the whole content of the file.
    """

    #: Scores that testing computes beside COCO's, such as "voc".
    scores: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        images: Path,
        annotations: Path | Annotations,
        *,
        is_train: bool,
        with_masks: bool = False,
        filter_empty: bool = False,
        max_images: int = 0,
        class_labels: str = "contiguous",
        keypoints: KeypointOptions | None = None,
        reader: ImageReader | None = None,
        cache: Path | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        """Read the file ``annotations``; pictures under the folder ``images`` are read later.

        ``annotations`` may also be a table that was read or made by ``annotations_from_records``.

        ``with_masks``: use the segmentations. ``filter_empty``: leave out images without usable
        annotations. ``max_images``: use only the first so many by id, before that; 0 for all.
        ``class_labels``: the meaning of labels, as in ``label_categories``; with "category_id",
        ids may have gaps, and ``class_names`` has ``UNUSED_CLASS`` there. ``keypoints``: read them,
        and their names as ``keypoint_layout``, otherwise None. ``reader`` reads pictures.
        ``cache``: as in ``read_annotations``. ``classes``: the names of the labels 1..K, by default
        those of the annotations; a category of another name is an error, and a class without a
        category has no objects. Without ``is_train`` all images are kept, without annotations,
        which are checked all the same. Raises FileNotFoundError or ValueError naming the file, and
        ValueError if nothing is left to train on or to score.
        """
        self.name = name
        check_classes(name, classes, class_labels)
        if not isinstance(annotations, Annotations):
            annotations = read_annotations(annotations, cache)
        table = fix_classes(annotations, name, classes) if classes else annotations
        self.annotations = table
        self.annotation_file = str(table.file)
        self.category_ids, self.class_names = label_categories(table, class_labels, classes)
        self.keypoint_layout: KeypointLayout | None = read_layout(table) if keypoints else None
        self.dropped: dict[int, int] = {}
        self._folder = images
        self._reader = reader or ImageReader()
        self._with_masks = with_masks and is_train
        self._keypoints = keypoints
        self._check_images()
        count = min(max_images or len(table.image_ids), len(table.image_ids))
        if not count:
            raise ValueError(f"data set {name!r}: {table.file} holds no images")
        chosen = np.arange(len(table.ids)) < table.first[count]
        usable = self._check(chosen, with_masks, is_train)
        places = np.arange(count)
        if is_train:
            places = self._places_to_train(places, usable, filter_empty)
        else:
            usable = np.zeros_like(usable)
        self._places = places
        ids = np.array(self.category_ids, np.int64)
        self._label_of = np.argsort(ids) + 1  # of each id; the ids are sorted
        self._rising_ids = np.sort(ids)
        self._found_as: dict[int, str] = {}
        self._usable = usable
        self.image_ids = tuple(table.image_ids[places].tolist())
        self.sizes = table.sizes[places]

    @property
    def num_classes(self) -> int:
        """Number of labels, including the background and unused labels."""
        return len(self.class_names) + 1

    @property
    def folder(self) -> Path:
        """The folder in which the names of the pictures begin."""
        return self._folder

    @property
    def reads_files(self) -> bool:
        """Whether each image is a file of that folder; a user's subclass may read otherwise."""
        return type(self).read is CocoDataset.read

    def __len__(self) -> int:
        return len(self._places)

    def info(self, index: int) -> ImageInfo:
        """Return the source of image ``index``, without reading it."""
        place = int(self._places[index])
        height, width = self.sizes[index].tolist()
        name = self._found_as.get(place) or self.annotations.file_name(place)
        return ImageInfo(self.image_ids[index], height, width, str(self._folder / str(name)))

    def labels(self, index: int) -> list[int]:
        """Return the labels, 1..K, of the objects of image ``index``."""
        return self._labels(self._numbers(index)).tolist()

    def read(self, index: int) -> Sample:
        """Return image ``index`` and its annotations.

        Raises FileNotFoundError or ValueError, naming data set and image id, if the picture is
        missing, unreadable, damaged or of another size than the file declares.
        """
        info = self.info(index)
        try:
            image = self._reader.read(info.file, (info.height, info.width))
        except (FileNotFoundError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError)
            raise (FileNotFoundError if missing else ValueError)(
                f"data set {self.name!r}, image id {info.image_id}: {error}"
            ) from None
        numbers = self._numbers(index)
        boxes = _corners(self.annotations.boxes[numbers], (info.height, info.width))
        labels = torch.from_numpy(self._labels(numbers))
        masks = None
        if self._with_masks:
            masks = tuple(self._mask(number) for number in numbers.tolist())
        return Sample(image, info, boxes, labels, masks, self._points(numbers))

    def ground_truth(self) -> Annotations:
        """Return all annotations, including crowds, with a category for each class."""
        return self.annotations

    def check_pictures(self) -> None:
        """Check that every picture exists, inspect some of them, and log oddities.

        A name with backslashes means the file with slashes if only that exists, and a name whose
        folders are not there the file without them. A user's subclass that overrides reading checks
        nothing. Raises FileNotFoundError if pictures are missing, and
        ValueError if an inspected one cannot be read or has another size than the annotation file
        declares.
        """
        if not self.reads_files:
            return
        names = [str(name) for name in self.annotations.file_names(self._places)]
        found, missing = resolve_names(self._folder, names)
        if missing:
            named = [f"{shown_path(names[n])} (image id {self.image_ids[n]})" for n in missing[:6]]
            raise FileNotFoundError(
                f"data set {self.name!r}: {len(missing)} of {len(names)} pictures that "
                f"{self.annotation_file} names are no files in {self._folder}: "
                f"{shorten([*named, *missing[6:]])}; give the folder that their names begin in as "
                f"DATASETS.{self.name}.IMAGES"
            )
        changed = [n for n, (a, b) in enumerate(zip(names, found, strict=True)) if a != b]
        self._found_as = {int(self._places[n]): found[n] for n in changed}
        for line in describe_names([(names[n], found[n]) for n in changed]):
            logger.info("data set %s: %s", self.name, line)
        paths = [str(self._folder / name) for name in found]
        report = inspect_headers(paths, self.sizes, self._reader)
        lines = describe(report, paths, self.image_ids, self._reader)
        if report.wrong_size or report.unreadable:
            raise ValueError(f"data set {self.name!r}: {'; '.join(lines)}")
        # Orientations that the sizes decide need no warning.
        sure = replace(report, unknown=(), dark=())
        for line in lines:
            is_sure = line in describe(sure, paths, self.image_ids, self._reader)
            logger.log(
                logging.INFO if is_sure else logging.WARNING, "data set %s: %s", self.name, line
            )

    def _numbers(self, index: int) -> np.ndarray:
        """Return the numbers of the annotations of image ``index`` that are used."""
        first, end = self.annotations.first[self._places[index] :][:2].tolist()
        return first + np.flatnonzero(self._usable[first:end])

    def _labels(self, numbers: np.ndarray) -> np.ndarray:
        ids = self.annotations.category_ids[numbers]
        return self._label_of[np.searchsorted(self._rising_ids, ids)]

    def _mask(self, number: int) -> Mask:
        if self.annotations.is_polygons(number):
            return PolygonMask(self.annotations.polygons(number))
        return BitMask.from_rle(self.annotations.rle(number))

    def _points(self, numbers: np.ndarray) -> torch.Tensor | None:
        if self.keypoint_layout is None or self._keypoints is None:
            return None
        count, shift = len(self.keypoint_layout), self._keypoints.pixel_shift
        points = [read_points(self.annotations, n, count, shift) for n in numbers.tolist()]
        return torch.tensor(np.array(points), dtype=torch.float32).reshape(-1, count, 3)

    def _check(self, chosen: np.ndarray, with_masks: bool, is_train: bool) -> np.ndarray:
        """Return which of the ``chosen`` annotations (M,) bool can be used, and log the others.

        Raises ValueError if none can.
        """
        table = self.annotations
        objects = chosen & ~table.crowds
        boxes = objects & (table.box_flaws == 0)
        usable = boxes & (table.mask_flaws == 0) if with_masks else boxes
        if self.keypoint_layout is not None and (is_train or objects.any()):
            check_points(table, boxes, len(self.keypoint_layout))
        log_report(self.name, table, chosen, with_masks, is_train)
        if not usable.any() and (is_train or objects.any()):
            nothing = describe_nothing(table, chosen, boxes, with_masks, is_train)
            raise ValueError(f"data set {self.name!r}: {nothing}")
        images, counts = np.unique(table.image_of[objects & ~usable], return_counts=True)
        if is_train:
            ids = table.image_ids[images].tolist()
            self.dropped = dict(zip(ids, counts.tolist(), strict=True))
        return usable

    def _places_to_train(
        self, places: np.ndarray, usable: np.ndarray, filter_empty: bool
    ) -> np.ndarray:
        """Return the places of the images to train on; raises ValueError if there are none."""
        table = self.annotations
        if filter_empty:
            counts = np.bincount(table.image_of[usable], minlength=len(table.image_ids))
            places = places[counts[places] > 0]
        least = self._keypoints.min_per_image if self._keypoints else 0
        if self.keypoint_layout is not None and least:
            labelled = count_labelled(table, usable, len(self.keypoint_layout))
            places = places[labelled[places] >= least]
            if not len(places):
                raise ValueError(
                    f"data set {self.name!r}: no image of {table.file} has {least} labelled "
                    "keypoints (KRCNN.MIN_KEYPOINTS_PER_IMAGE)"
                )
        return places

    def _check_images(self) -> None:
        """Raise ValueError if an image has no name or no size."""
        table = self.annotations
        nameless = table.nameless()
        if len(nameless):
            is_lvis = table.has_lists[nameless[0]].all()
            raise ValueError(
                f"{table.file}: images, id {table.image_ids[nameless[0]]}: 'file_name' is None, "
                f"not text{f'; give DATASETS.{self.name}.TYPE lvis' if is_lvis else ''}"
            )
        empty = table.image_ids[(table.sizes < 1).any(axis=1)].tolist()
        if empty:
            raise ValueError(f"{table.file}: images with no height or width: {shorten(empty)}")


def _corners(boxes: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """Convert COCO's x, y, width, height to (N, 4) float32 xyxy, clipped to the image ``size``."""
    low, sides = boxes[:, :2], boxes[:, 2:]
    limits = size[::-1]
    corners = np.concatenate((low, low + sides), axis=1).clip(0, limits * 2)
    return torch.from_numpy(corners.astype(np.float32))
