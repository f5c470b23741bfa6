"""Log messages about the annotations that a data set uses and leaves out.

M annotations.
"""

import logging

import numpy as np

from pet.annotations import Annotations, flaws
from pet.annotations.report import (
    count_reasons,
    describe_doubts,
    describe_left_out,
    describe_otherwise,
)
from pet.annotations.table import RUNS

logger = logging.getLogger(__name__)

#: Of all annotations; in COCO it is one of a hundred.
_MANY_CROWDS = 0.1
#: What to do where ``are_painted``.
CROWDS_NOT_MEANT = (
    "CVAT writes each mask that was painted as a crowd; if they are single objects, "
    "tools/convert_data.py writes them as such with --crowds-as-objects"
)


def log_report(
    name: str, table: Annotations, chosen: np.ndarray, with_masks: bool, is_train: bool
) -> None:
    """Log how many of ``chosen`` (M,) bool are crowds or left out, and oddities."""
    checked = chosen & ~table.crowds if is_train else chosen
    for line in describe_otherwise(table):
        logger.info("data set %s: %s", name, line)
    crowds = int((table.crowds & chosen).sum())
    if crowds:
        logger.info(
            "data set %s: %d of %d annotations are crowds: they are not trained on, and in "
            "testing what is found in them counts neither way",
            name,
            crowds,
            int(chosen.sum()),
        )
        if are_painted(table, chosen):
            logger.warning("data set %s: %s", name, CROWDS_NOT_MEANT)
    for line in (
        *describe_left_out(table, checked, with_masks, is_train),
        *describe_doubts(table, checked, with_masks),
    ):
        logger.warning("data set %s: %s", name, line)


def are_painted(table: Annotations, chosen: np.ndarray) -> bool:
    """Whether many of ``chosen`` (M,) bool are crowds, with RLEs, and only these have RLEs."""
    painted = (table.columns["mask_kind"] == RUNS) & chosen
    crowds = int((painted & table.crowds).sum())
    return bool(crowds > _MANY_CROWDS * chosen.sum() and (table.crowds | ~painted).all())


def describe_nothing(
    table: Annotations, chosen: np.ndarray, boxes: np.ndarray, with_masks: bool, is_train: bool
) -> str:
    """Return the error message if none of ``chosen`` (M,) bool can be used.

    ``boxes`` (M,) bool are the ones whose box can be used.
    """
    objects = chosen & ~table.crowds
    parts = count_reasons(table.box_flaws[objects], flaws.BOX_FLAWS)
    if with_masks:
        parts += count_reasons(table.mask_flaws[boxes], flaws.MASK_FLAWS)
    remedy = "; for boxes alone give MODEL.MASK_ON False" if boxes.any() else ""
    if not objects.any() and are_painted(table, chosen):
        remedy = f"; {CROWDS_NOT_MEANT}"
    purpose = "train on" if is_train else "score by"
    return (
        f"nothing to {purpose} in {table.file}: "
        f"{len(table.image_ids)} images, {int((chosen & table.crowds).sum())} crowds, "
        f"{', '.join(parts) or 'and no other annotations'}{remedy}"
    )
