"""Reading a result file in COCO's format, also from other programs."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pet.annotations.values import Otherwise, numbers, rows_of_numbers, short, whole_numbers
from pet.evaluation.results import RESULT_PARTS, Record
from pet.structures.run_lengths import decode_runs

_CHECKED_AT_A_TIME = 2000  # records


def read_results(
    path: str | Path, iou_type: str, image_ids: set[int], category_ids: set[int]
) -> list[Record]:
    """Read a result file and check all its records.

    Raises FileNotFoundError and ValueError as ``evaluate_coco`` does.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no result file {path}")
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"the result file {path} is not JSON: {error}") from error
    part = RESULT_PARTS[iou_type]
    if not isinstance(records, list) or not all(
        isinstance(r, dict) and {"image_id", "category_id", "score", part} <= set(r)
        for r in records
    ):
        raise ValueError(
            f"the result file {path} must be a list of records with image_id, category_id, "
            f"score and {part}"
        )
    for key, allowed, what in (
        ("image_id", image_ids, "images"),
        ("category_id", category_ids, "categories"),
    ):
        foreign = sorted({record[key] for record in records} - allowed, key=str)
        if foreign:
            raise ValueError(
                f"the result file {path} speaks of {len(foreign)} {what} that are not evaluated; "
                f"the first ids are {foreign[:5]}"
            )
    _check_values(path, records, iou_type)
    return records


def _check_values(path: Path, records: list[Record], iou_type: str) -> None:
    """Raise ValueError if a record has values that pycocotools cannot process.

    With such values pycocotools finds no detections or, for a mask whose runs do not add up, hangs.
    """
    part = RESULT_PARTS[iou_type]
    for start in range(0, len(records), _CHECKED_AT_A_TIME):
        some = records[start : start + _CHECKED_AT_A_TIME]
        sound = np.isfinite(numbers([record["score"] for record in some], Otherwise()))
        sound &= _SOUND[iou_type]([record[part] for record in some])
        if not sound.all():
            place = start + int(np.flatnonzero(~sound)[0])
            raise ValueError(
                f"the result file {path}: record {place}, of image {records[place]['image_id']}, "
                f"has no number as score, or no {part} of COCO's format: "
                f"{short(records[place]['score'])}, {short(records[place][part])}"
            )


def _are_boxes(values: list[Any]) -> np.ndarray:
    rows = [
        value if isinstance(value, list) and len(value) == 4 else [None] * 4 for value in values
    ]
    found, _ = rows_of_numbers(rows, Otherwise())
    return np.isfinite(found.reshape(-1, 4)).all(axis=1)


def _are_points(values: list[Any]) -> np.ndarray:
    return np.array(
        [
            isinstance(value, list)
            and len(value) % 3 == 0
            and bool(np.isfinite(numbers(value, Otherwise())).all())
            for value in values
        ],
        bool,
    )


def _are_masks(values: list[Any]) -> np.ndarray:
    rles = [value if isinstance(value, dict) else {} for value in values]
    texts = [str(rle.get("counts") or "").encode("utf-8", "surrogatepass") for rle in rles]
    sizes = [whole_numbers(_pair(rle.get("size")), Otherwise())[0].tolist() for rle in rles]
    runs = decode_runs(texts)
    return runs.sound & (runs.totals() == [height * width for height, width in sizes])


def _pair(size: Any) -> list[Any]:
    return size if isinstance(size, list) and len(size) == 2 else [0, 0]


_SOUND: Mapping[str, Callable[[list[Any]], np.ndarray]] = {
    "bbox": _are_boxes,
    "segm": _are_masks,
    "keypoints": _are_points,
}
