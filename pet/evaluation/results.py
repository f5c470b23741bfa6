"""Writing detections as COCO result files: one shard per process, merged in order of image id.

Boxes are in pixels of the original image, with 3 decimals; scores have 6. That is precise enough
for the AP, and keeps the files small and the same in every run.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pet.structures import Detections
from pet.structures.segmentation import crop_to_rle
from pet.utils.files import atomic_path

Record = dict[str, Any]  # one entry of COCO's result format

#: Kind of result -> the key of its value in a record.
RESULT_PARTS = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}

_ERROR = "error"
_ERROR_START = b'{"error"'
_BOX_DECIMALS = 3
_SCORE_DECIMALS = 6


@dataclass(frozen=True)
class ImageResults:
    """The records of one image."""

    image_id: int
    records: dict[str, list[Record]]  # by kind, as in RESULT_PARTS; best score first; may be empty
    error: str = ""  # why the image could not be read; then there are no records


def image_results(
    image_id: int,
    detections: Detections,
    category_ids: Sequence[int | None],
    keypoint_shift: float = 0.0,
) -> ImageResults:
    """Return the records of one image, with "segm" and "keypoints" if the model predicts them.

    ``detections`` are in pixels of the original image (see ``Detections.resized``). Label l is
    category ``category_ids[l - 1]``. Labels of no class (``MODEL.CLASS_LABELS`` category_id) are
    also written, with an id that no category has, which COCO's evaluation ignores. Label 0 and
    labels whose category is None are left out. ``keypoint_shift`` is subtracted from the
    coordinates of keypoints (``KRCNN.PIXEL_SHIFT``). The records of boxes hold, under "extras",
    each of ``Detections.extras`` that is a number (N,) or a list of numbers (N, D) per detection.
    Raises ValueError if a box, score, keypoint or one of these extras is not finite.
    """
    detections = detections.to("cpu")
    known = torch.tensor([False, *(category is not None for category in category_ids)])
    detections = detections[known[detections.labels]]
    if not all(
        values is None or torch.isfinite(values).all()
        for values in (detections.boxes, detections.scores, detections.keypoints)
    ):
        raise ValueError(
            f"image {image_id} has a detection whose box, score or point is not a finite number; "
            "the weights come from a run that diverged, try a lower SOLVER.BASE_LR"
        )
    shared = [
        {"image_id": int(image_id), "category_id": int(category_ids[label - 1] or 0)}
        for label in detections.labels.tolist()
    ]
    scores = [
        {"score": round(score, _SCORE_DECIMALS)} for score in detections.scores.double().tolist()
    ]
    kinds = {"bbox": list(_boxes(detections))}
    if extras := _plain_extras(detections):
        _add_extras(kinds["bbox"], extras, image_id)
    if detections.mask_probs is not None:
        kinds["segm"] = list(_masks(detections))
    if detections.keypoints is not None:
        kinds["keypoints"] = list(_keypoints(detections.keypoints, keypoint_shift))
    return ImageResults(
        int(image_id),
        {
            kind: [
                head | part | tail for head, part, tail in zip(shared, parts, scores, strict=True)
            ]
            for kind, parts in kinds.items()
        },
    )


def _plain_extras(detections: Detections) -> dict[str, Tensor]:
    """Return those of the extras that are a number or a list of numbers a detection."""
    return {name: values for name, values in detections.extras.items() if values.dim() in (1, 2)}


def _add_extras(records: Sequence[Record], extras: Mapping[str, Tensor], image_id: int) -> None:
    """Add ``extras``, each (N,) or (N, D), to the N ``records``, in place."""
    for name, values in extras.items():
        if not torch.isfinite(values).all():
            raise ValueError(
                f"image {image_id} has a detection whose {name!r}, one of Detections.extras, is "
                "not a finite number"
            )
        if values.is_floating_point():
            values = values.double().round(decimals=_SCORE_DECIMALS)
        for record, value in zip(records, values.tolist(), strict=True):
            record.setdefault("extras", {})[name] = value


def _boxes(detections: Detections) -> Iterator[Record]:
    """Yield each box as [x, y, width, height]."""
    for x1, y1, x2, y2 in detections.boxes.double().tolist():
        yield {"bbox": [round(side, _BOX_DECIMALS) for side in (x1, y1, x2 - x1, y2 - y1)]}


def _masks(detections: Detections) -> Iterator[Record]:
    """Yield each mask as compressed RLE, computed from the pixels inside its box."""
    for crop in detections.mask_crops():
        yield {"segmentation": crop_to_rle(crop, detections.size)}


def _keypoints(keypoints: Tensor, shift: float) -> Iterator[Record]:
    """Yield ``keypoints`` (N, P, 3) per detection as [x, y, third value, x, y, ...]."""
    for points in keypoints.double().tolist():
        flat: list[float] = []
        for x, y, third in points:
            flat += round(x - shift, _BOX_DECIMALS), round(y - shift, _BOX_DECIMALS)
            flat.append(round(third, _SCORE_DECIMALS))
        yield {"keypoints": flat}


def write_shard(path: str | Path, results: Iterable[ImageResults]) -> None:
    """Write the results of one process as JSON lines, one per image, in the order of ``results``.

    The file gets its final name after the last image is written.
    """
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for result in results:
            line = {"image_id": result.image_id, "records": result.records}
            # The error comes first, so that it is found without parsing every line.
            file.write(_dumps({_ERROR: result.error, **line} if result.error else line) + "\n")


def unread_images(shards: Sequence[str | Path]) -> dict[int, str]:
    """Return image id -> error for the images in ``shards`` that could not be read."""
    errors = {}
    for shard in shards:
        with open(shard, "rb") as file:
            for line in file:
                if line.startswith(_ERROR_START):
                    content = json.loads(line)
                    errors[int(content["image_id"])] = str(content[_ERROR])
    return dict(sorted(errors.items()))


def merge_shards(
    shards: Sequence[str | Path],
    folder: str | Path,
    image_ids: Sequence[int],
    iou_types: Sequence[str] = ("bbox", "segm"),
) -> dict[str, Path]:
    """Merge the shards into ``folder``/{bbox,segm,keypoints}.json, in COCO's result format.

    Records are sorted by image id over all shards, so the files do not depend on the number of
    processes. Returns the path for each of ``iou_types``. Raises RuntimeError if an image of
    ``image_ids`` has no results or has them twice, or if a shard has another image.
    """
    places = _index(shards)
    missing = sorted(set(image_ids) - set(places))
    foreign = sorted(set(places) - set(image_ids))
    if missing or foreign:
        raise RuntimeError(
            f"the shards {', '.join(map(str, shards))} lack the results of {len(missing)} images "
            f"(ids {missing[:5]}) and hold {len(foreign)} foreign ones (ids {foreign[:5]})"
        )
    files = {kind: Path(folder) / f"{kind}.json" for kind in iou_types}
    for kind, path in files.items():
        with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            _write_list(file.write, _records_in_order(places, kind))
    return files


def _index(shards: Sequence[str | Path]) -> dict[int, tuple[Path, int]]:
    """Return the shard and the byte offset of the line of each image."""
    places: dict[int, tuple[Path, int]] = {}
    for shard in map(Path, shards):
        start = 0
        with open(shard, "rb") as file:
            for line in file:
                image_id = json.loads(line)["image_id"]
                if image_id in places:
                    raise RuntimeError(
                        f"image {image_id} is in {places[image_id][0]} and again in {shard}"
                    )
                places[image_id] = (shard, start)
                start += len(line)
    return places


def _records_in_order(places: dict[int, tuple[Path, int]], kind: str) -> Iterator[Record]:
    """Yield the records of one kind in order of image id; only one line is in memory at a time."""
    with ExitStack() as stack:
        files = {
            shard: stack.enter_context(open(shard, "rb"))
            for shard in sorted({shard for shard, _ in places.values()})
        }
        for image_id in sorted(places):
            shard, start = places[image_id]
            files[shard].seek(start)
            yield from json.loads(files[shard].readline())["records"].get(kind, [])


def _write_list(write: Callable[[str], Any], records: Iterable[Record]) -> None:
    """Write a JSON list with one record per line."""
    separator = "[\n"
    for record in records:
        write(separator + _dumps(record))
        separator = ",\n"
    write("[]\n" if separator == "[\n" else "\n]\n")


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
