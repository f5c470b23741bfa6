"""What is said of the annotations that a data set takes, and of those that it leaves out.

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

logger = logging.getLogger(__name__)


def log_report(
    name: str, table: Annotations, chosen: np.ndarray, with_masks: bool, is_train: bool
) -> None:
    """Log how many of ``chosen`` (M,) bool are crowds, how many are left out, and what is odd."""
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
    for line in (
        *describe_left_out(table, checked, with_masks, is_train),
        *describe_doubts(table, checked, with_masks),
    ):
        logger.warning("data set %s: %s", name, line)


def describe_nothing(
    table: Annotations, chosen: np.ndarray, boxes: np.ndarray, with_masks: bool, is_train: bool
) -> str:
    """Return what to say where none of ``chosen`` (M,) bool can be used.

    ``boxes`` (M,) bool are those of them whose box can be.
    """
    objects = chosen & ~table.crowds
    parts = count_reasons(table.box_flaws[objects], flaws.BOX_FLAWS)
    if with_masks:
        parts += count_reasons(table.mask_flaws[boxes], flaws.MASK_FLAWS)
    remedy = "; for boxes alone give MODEL.MASK_ON False" if boxes.any() else ""
    purpose = "train on" if is_train else "score by"
    return (
        f"nothing to {purpose} in {table.file}: "
        f"{len(table.image_ids)} images, {int((chosen & table.crowds).sum())} crowds, "
        f"{', '.join(parts) or 'and no other annotations'}{remedy}"
    )
