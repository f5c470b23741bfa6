"""Small pictures of images with findings, in which the boxes in question are drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pet.data.image_file import ImageReader
from pet.engine.data_check.findings import NOTE, Finding
from pet.engine.data_check.picture_findings import Files
from pet.utils.opencv import cv2

_LONGER_SIDE = 260  # pixels
#: Pictures of a finding, and of all findings.
_MOST_OF_FINDING, _MOST = 3, 24
_QUALITY = 80
_RED, _WHITE, _BLACK = (60, 60, 235), (255, 255, 255), (0, 0, 0)  # BGR


@dataclass(frozen=True)
class Thumbnail:
    """A small picture as a JPEG, and the text below it."""

    jpeg: bytes
    caption: str


def draw_thumbnails(
    findings: Sequence[Finding], sets: Sequence[Files], reader: ImageReader
) -> dict[int, list[Thumbnail]]:
    """Return the pictures of each finding, by its index, of the first ones that are no notes.

    A picture that cannot be read is left out.
    """
    drawn: dict[int, list[Thumbnail]] = {}
    left = _MOST
    for n, finding in enumerate(findings):
        files = next((each for each in sets if each.checked.name in finding.data_sets[:1]), None)
        if files is None or finding.severity == NOTE or left <= 0:
            continue
        drawn[n] = list(_of_finding(finding, files, reader, min(left, _MOST_OF_FINDING)))
        left -= len(drawn[n])
    return drawn


def _of_finding(
    finding: Finding, files: Files, reader: ImageReader, most: int
) -> Iterator[Thumbnail]:
    where = finding.where
    images = list(dict.fromkeys(where.image_ids))[:most]
    table = files.checked.table
    for image_id in images:
        index = int(np.flatnonzero(files.checked.image_ids == image_id)[0])
        path = files.paths[index]
        try:
            image = reader.read(path)
        except (OSError, ValueError):
            continue
        in_question = {
            number
            for number, of_image in zip(where.annotation_ids, where.image_ids, strict=False)
            if of_image == image_id
        }
        numbers = np.flatnonzero(files.checked.index_of == index)
        red = np.isin(table.ids[numbers], list(in_question))
        picture = _shrunk(image, table.boxes[numbers], red)
        _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        yield Thumbnail(jpeg.tobytes(), f"image {image_id}, {files.shown(index)}")


def _shrunk(image: np.ndarray, boxes: np.ndarray, red: np.ndarray) -> np.ndarray:
    """Return ``image`` made small, with ``boxes`` (n, 4) x, y, width, height; ``red`` (n,) bool.

    The other boxes are white.
    """
    height, width = image.shape[:2]
    ratio = _LONGER_SIDE / max(height, width)
    size = (max(round(width * ratio), 1), max(round(height * ratio), 1))
    method = cv2.INTER_AREA if ratio < 1 else cv2.INTER_NEAREST
    picture = np.ascontiguousarray(cv2.resize(image, size, interpolation=method))
    limit = 10.0 * _LONGER_SIDE  # of OpenCV's integers, far outside
    for n in np.argsort(red, kind="stable").tolist():  # red ones are on top
        if not np.isfinite(boxes[n]).all():
            continue
        x, y, box_width, box_height = boxes[n].tolist()
        corners = np.clip(np.array([x, y, x + box_width, y + box_height]) * ratio, -limit, limit)
        left, top, right, bottom = corners.round().astype(int).tolist()
        if red[n]:
            cv2.rectangle(picture, (left - 1, top - 1), (right + 1, bottom + 1), _WHITE, 3)
        colour = _RED if red[n] else _WHITE
        cv2.rectangle(picture, (left, top), (right, bottom), _BLACK, 2 if not red[n] else 3)
        cv2.rectangle(picture, (left, top), (right, bottom), colour, 1 if not red[n] else 2)
    return picture
