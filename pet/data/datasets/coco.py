"""Data sets in COCO's format."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pet.data.datasets.coco_file import CocoFile, Entry, are_numbers, read_coco_file, shorten
from pet.data.datasets.coco_keypoints import (
    KeypointOptions,
    count_labelled,
    read_layout,
    read_points,
    require_keypoints,
)
from pet.data.datasets.labels import label_categories
from pet.data.image_file import read_image
from pet.data.sample import Sample
from pet.structures import BitMask, ImageInfo, KeypointLayout, Mask, PolygonMask
from pet.utils.shared_list import SharedList

logger = logging.getLogger(__name__)

_NO_BOX = "no box inside the image"
_NO_MASK = "no usable segmentation"


class CocoDataset:
    """Images and their annotations, from a folder and a file of COCO's format.

    Crowds are never among the annotations. Those that training cannot use (a box that is empty,
    not finite or outside the image; where masks are read, no valid polygon or RLE) are left out,
    logged, and counted in ``dropped``.
    """

    def __init__(
        self,
        name: str,
        images: Path,
        annotations: Path,
        *,
        is_train: bool,
        with_masks: bool = False,
        filter_empty: bool = False,
        max_images: int = 0,
        class_labels: str = "contiguous",
        keypoints: KeypointOptions | None = None,
    ) -> None:
        """Read the file ``annotations``; pictures under the folder ``images`` are read later.

        ``with_masks``: keep the segmentations. ``filter_empty``: leave out images with nothing to
        train on. ``max_images``: only the first so many images by id, before that; 0 for all.
        ``class_labels``: what labels stand for, as in ``label_categories``; with "category_id",
        ids have gaps and some of ``class_names`` are ``UNUSED_CLASS``. ``keypoints``: read them,
        and their names as ``keypoint_layout``, which is None without. Without ``is_train`` there
        are all images and no annotations. Raises FileNotFoundError or ValueError naming the file,
        and ValueError where nothing is left to train on.
        """
        file = read_coco_file(annotations)
        self.name = name
        self.annotation_file = str(annotations)
        self.category_ids, self.class_names = label_categories(file, class_labels)
        self.keypoint_layout: KeypointLayout | None = read_layout(file) if keypoints else None
        self.dropped: dict[int, int] = {}
        self._folder = images
        self._with_masks = with_masks
        self._keypoints = keypoints
        records = [self._image_record(image) for image in file.images[: max_images or None]]
        if is_train:
            self._annotate(records, file)
            if filter_empty:
                records = [record for record in records if record["labels"]]
            if keypoints:
                records = _with_enough_keypoints(records, keypoints.min_per_image, name, file)
        if not records:
            raise ValueError(f"data set {name!r}: {annotations} holds no images")
        self.image_ids = tuple(int(record["id"]) for record in records)
        self.sizes = np.array([(record["height"], record["width"]) for record in records], np.int64)
        self._records = SharedList(records)

    @property
    def num_classes(self) -> int:
        """Number of labels with the background, and with those that stand for no class."""
        return len(self.class_names) + 1

    def __len__(self) -> int:
        return len(self._records)

    def info(self, index: int) -> ImageInfo:
        """Return where image ``index`` comes from, without reading it."""
        return self._info(self._records[index])

    def labels(self, index: int) -> list[int]:
        """Return the labels, 1..K, of the objects of image ``index``."""
        return list(self._records[index]["labels"])

    def read(self, index: int) -> Sample:
        """Return image ``index`` and its annotations.

        Raises FileNotFoundError or ValueError, naming data set and image id, where the picture is
        missing, unreadable, damaged or of another size than the file says, or an RLE is broken.
        """
        record = self._records[index]
        info = self._info(record)
        try:
            image = self._read_image(info)
            masks = None
            if self._with_masks:
                masks = tuple(_mask(segmentation) for segmentation in record["segmentations"])
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(
                f"data set {self.name!r}, image id {info.image_id}: {error}"
            ) from None
        boxes = torch.tensor(record["boxes"], dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor(record["labels"], dtype=torch.int64)
        points = None
        if self.keypoint_layout is not None:
            points = torch.tensor(record["keypoints"], dtype=torch.float32)
            points = points.reshape(-1, len(self.keypoint_layout), 3)
        return Sample(image, info, boxes, labels, masks, points)

    def _info(self, record: dict[str, Any]) -> ImageInfo:
        path = str(self._folder / record["file_name"])
        return ImageInfo(record["id"], record["height"], record["width"], path)

    def _read_image(self, info: ImageInfo) -> np.ndarray:
        image = read_image(info.file)
        height, width = image.shape[:2]
        if (height, width) != (info.height, info.width):
            raise ValueError(
                f"{info.file} is {width} wide and {height} high, but {self.annotation_file} says "
                f"{info.width} and {info.height}; if the file has an EXIF orientation, save it "
                "upright: annotations count in the pixels as stored"
            )
        return image

    def _image_record(self, image: Entry) -> dict[str, Any]:
        kept = {key: image[key] for key in ("id", "file_name", "height", "width")}
        return {**kept, "labels": [], "boxes": [], "segmentations": [], "keypoints": []}

    def _annotate(self, records: Sequence[dict[str, Any]], file: CocoFile) -> None:
        """Add to each record the annotations that training can use."""
        label_of = {category: label for label, category in enumerate(self.category_ids, start=1)}
        if self._keypoints is not None:
            require_keypoints(file)
        crowds, rejected = 0, []
        for record in records:
            for annotation in file.annotations[record["id"]]:
                if annotation.get("iscrowd"):
                    crowds += 1
                    continue
                reason = self._add(record, annotation, label_of, file)
                if reason:
                    rejected.append((reason, record["id"], annotation["id"]))
        self.dropped = dict(Counter(image_id for _, image_id, _ in rejected))
        self._report(rejected)
        if not any(record["labels"] for record in records):
            reasons = Counter(reason for reason, _, _ in rejected)
            parts = [f"{count} with {reason}" for reason, count in reasons.items()]
            raise ValueError(
                f"data set {self.name!r}: nothing to train on in {file.path}: "
                f"{len(records)} images, {crowds} crowds, "
                f"{', '.join(parts) or 'and no other annotations'}"
            )

    def _add(
        self, record: dict[str, Any], annotation: Entry, label_of: dict[int, int], file: CocoFile
    ) -> str | None:
        """Add one annotation to ``record``, or return why it cannot be used."""
        size = record["height"], record["width"]
        box = _clipped_box(annotation.get("bbox"), size)
        if box is None:
            return _NO_BOX
        if self._with_masks:
            segmentation = _usable_segmentation(annotation.get("segmentation"), size)
            if segmentation is None:
                return _NO_MASK
            record["segmentations"].append(segmentation)
        if self._keypoints is not None and self.keypoint_layout is not None:
            count, shift = len(self.keypoint_layout), self._keypoints.pixel_shift
            record["keypoints"].append(read_points(annotation, count, shift, file))
        record["boxes"].append(box)
        record["labels"].append(label_of[annotation["category_id"]])
        return None

    def _report(self, rejected: Iterable[tuple[str, int, int]]) -> None:
        for wanted in (_NO_BOX, _NO_MASK):
            found = [
                f"image {image_id} (annotation {annotation_id})"
                for reason, image_id, annotation_id in rejected
                if reason == wanted
            ]
            if found:
                logger.warning(
                    "data set %s: %d annotations left out, with %s: %s",
                    self.name,
                    len(found),
                    wanted,
                    shorten(found),
                )


def _with_enough_keypoints(
    records: list[dict[str, Any]], least: int, name: str, file: CocoFile
) -> list[dict[str, Any]]:
    """Return the records with ``least`` labelled points or more; ValueError where there is none."""
    kept = [record for record in records if count_labelled(record["keypoints"]) >= least]
    if not kept:
        raise ValueError(
            f"data set {name!r}: no image of {file.path} has {least} labelled keypoints "
            "(KRCNN.MIN_KEYPOINTS_PER_IMAGE)"
        )
    return kept


def _clipped_box(bbox: Any, size: tuple[int, int]) -> list[float] | None:
    """Return COCO's [x, y, width, height] as xyxy inside the image; None where nothing is left."""
    if not are_numbers(bbox, 4):
        return None
    x, y, width, height = bbox
    x1, x2 = (min(max(value, 0), size[1]) for value in (x, x + width))
    y1, y2 = (min(max(value, 0), size[0]) for value in (y, y + height))
    return [x1, y1, x2, y2] if x2 > x1 and y2 > y1 else None


def _usable_segmentation(segmentation: Any, size: tuple[int, int]) -> Any:
    """Return the valid polygons, or the RLE where it fits an image of ``size``; else None."""
    if isinstance(segmentation, list):
        polygons = [
            polygon for polygon in segmentation if are_numbers(polygon, 6) and len(polygon) % 2 == 0
        ]
        return polygons or None
    if not isinstance(segmentation, dict) or segmentation.get("size") != list(size):
        return None
    counts = segmentation.get("counts")
    if isinstance(counts, list):
        fits = all(isinstance(run, int) and run >= 0 for run in counts)
        return segmentation if fits and sum(counts) == size[0] * size[1] else None
    return segmentation if isinstance(counts, str) and counts else None


def _mask(segmentation: Any) -> Mask:
    if isinstance(segmentation, dict):
        return BitMask.from_rle(segmentation)
    return PolygonMask(
        tuple(np.array(polygon, np.float64).reshape(-1, 2) for polygon in segmentation)
    )
