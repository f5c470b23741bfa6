"""Log lines about annotations of a data set that are left out or look implausible."""

from collections.abc import Mapping

import numpy as np

from pet.annotations import flaws
from pet.annotations.flaws import Flaw
from pet.annotations.table import Annotations
from pet.annotations.values import SHOWN, shorten

#: A line is logged if at least this share of all boxes looks like two corners.
_MOST_CORNERS = 0.9


def describe_left_out(
    table: Annotations, chosen: np.ndarray, with_masks: bool, is_train: bool = False
) -> list[str]:
    """Return a line for each reason why some of ``chosen`` (M,) bool are left out.

    ``with_masks``: an unusable mask is a reason, too. In training it excludes the whole object, in
    testing only its mask.
    """
    lines = []
    for flaw, numbers, of_mask in find_left_out(table, chosen, with_masks):
        scope = " of the mask scores" if of_mask and not is_train else ""
        remedy = f"; {flaw.remedy}" if flaw.remedy else ""
        lines.append(
            f"{len(numbers)} annotations of {table.file} are left out{scope}, with "
            f"{flaw.what}: {name_annotations(table, numbers)}{remedy}"
        )
    return lines


def find_left_out(
    table: Annotations, chosen: np.ndarray, with_masks: bool
) -> list[tuple[Flaw, np.ndarray, bool]]:
    """Return each flaw of ``chosen`` (M,) bool, the annotations that have it, and its kind.

    The kind is whether it is a flaw of masks, which are looked at with ``with_masks``, where the
    box has none.
    """
    kinds = [(table.box_flaws, flaws.BOX_FLAWS, False)]
    if with_masks:
        without = np.where(table.box_flaws == 0, table.mask_flaws, 0)
        kinds.append((without, flaws.MASK_FLAWS, True))
    return [
        (flaw, numbers, of_mask)
        for column, meanings, of_mask in kinds
        for code, flaw in meanings.items()
        if len(numbers := np.flatnonzero((column == code) & chosen))
    ]


def count_reasons(column: np.ndarray, meanings: Mapping[int, Flaw]) -> list[str]:
    """Return "3 with no bbox" for each flaw in ``column``."""
    counts = [(int((column == code).sum()), flaw.what) for code, flaw in meanings.items()]
    return [f"{count} with {what}" for count, what in counts if count]


def describe_doubts(table: Annotations, chosen: np.ndarray, with_masks: bool) -> list[str]:
    """Return a line for each kind of valid but implausible values in ``chosen`` (M,) bool."""
    file = table.file

    def found(bit: int) -> np.ndarray:
        return np.flatnonzero((table.doubts & bit > 0) & chosen)

    lines = []
    normalised = found(flaws.NORMALISED)
    if len(normalised):
        lines.append(
            f"{len(normalised)} boxes of {file} lie within the first pixel of their image, as if "
            f"their coordinates were parts of its sides, 0 to 1; COCO's are pixels: "
            f"{name_annotations(table, normalised)}"
        )
    beyond = found(flaws.BEYOND_IMAGE)
    if len(beyond):
        lines.append(
            f"{len(beyond)} boxes of {file} reach out of their image, of which training takes the "
            f"part inside: {name_annotations(table, beyond)}{corners_hint(table, chosen)}"
        )
    elsewhere = found(flaws.MASK_ELSEWHERE) if with_masks else ()
    if len(elsewhere):
        lines.append(
            f"{len(elsewhere)} masks of {file} lie for the most part outside of their boxes: "
            f"{name_annotations(table, np.asarray(elsewhere))}"
        )
    poor = found(flaws.POOR_AREA)
    if len(poor):
        lines.append(
            f'{len(poor)} annotations of {file} have an impossible "area"; the area of the mask, '
            f"or else of the box, is used instead: {name_annotations(table, poor)}"
        )
    return lines


def corners_hint(table: Annotations, chosen: np.ndarray) -> str:
    """Return a hint if nearly all boxes could be two corners, else ""."""
    usable = chosen & (table.box_flaws == 0)
    corners = usable & (table.doubts & flaws.TWO_CORNERS > 0)
    if corners.sum() < _MOST_CORNERS * usable.sum():
        return ""
    return "; are they [x1, y1, x2, y2]? COCO's are [x, y, width, height]"


def describe_otherwise(table: Annotations) -> list[str]:
    """Return one line that counts the values accepted in a form other than COCO's; [] for none."""
    parts = [f"{count} {what}" for what, count in table.read_otherwise.items()]
    return [f"read in {table.file} all the same: {', '.join(parts)}"] if parts else []


def name_annotations(table: Annotations, numbers: np.ndarray) -> str:
    """Return "image 4 (annotation 2), ..." for the first ``SHOWN`` of ``numbers``."""
    named = [
        f"image {table.image_ids[table.image_of[number]]} (annotation {table.ids[number]})"
        for number in numbers[:SHOWN].tolist()
    ]
    return shorten(named, len(numbers))
