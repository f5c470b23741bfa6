"""A finding about data: how bad it is, the numbers, where, and the remedy.

n pictures or annotations.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from pet.annotations import Annotations

ERROR, WARNING, NOTE = "error", "warning", "note"
#: Worst first. An error stops training or testing, or makes the scores wrong; a warning is about
#: data that are lost or hard to learn; a note only tells.
SEVERITIES = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Where:
    """The pictures or annotations that a finding is about."""

    image_ids: tuple[int, ...] = ()  # n, or none for pictures that no annotation names
    annotation_ids: tuple[int, ...] = ()  # n, or none if it is about pictures
    details: tuple[str, ...] = ()  # n texts, such as file names, or none

    def __len__(self) -> int:
        return max(len(self.image_ids), len(self.details))

    def named(self, most: int | None = None) -> list[str]:
        """Return a text for each of the first ``most``, by default all."""
        if not self.image_ids:
            return list(self.details[:most])
        texts = []
        for n, image_id in enumerate(self.image_ids[:most]):
            annotation = f" (annotation {self.annotation_ids[n]})" if self.annotation_ids else ""
            detail = f" ({self.details[n]})" if self.details else ""
            texts.append(f"image {image_id}{annotation}{detail}")
        return texts


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of fault or oddity of a data set, or of several."""

    severity: str  # one of SEVERITIES
    kind: str  # a short name for programs, such as "missing-pictures"
    data_sets: tuple[str, ...]  # names; ``where`` is in the first
    text: str  # the fault, with its numbers
    remedy: str = ""
    where: Where = field(default_factory=Where)


def annotations_at(table: Annotations, numbers: np.ndarray) -> Where:
    """Return annotations ``numbers`` (n,) of ``table``."""
    return Where(
        tuple(table.image_ids[table.image_of[numbers]].tolist()),
        tuple(table.ids[numbers].tolist()),
    )


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return ``findings`` by severity, otherwise in their order."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def count_severities(findings: Sequence[Finding]) -> dict[str, int]:
    """Return the number of ``findings`` of each severity, worst first."""
    found = [finding.severity for finding in findings]
    return {severity: found.count(severity) for severity in SEVERITIES}


def share(part: int, whole: int) -> str:
    """Return ``part`` of ``whole`` as a percentage, "<0.1 %" rather than 0 for some."""
    percent = 100 * part / max(whole, 1)
    if 0 < percent < 0.1:
        return "<0.1 %"
    return f"{percent:.1f} %" if percent < 10 and percent else f"{percent:.0f} %"


def counted(number: int, one: str, many: str = "") -> str:
    """Return "1 picture", or "2 pictures"; ``many`` is the plural if it is not formed by an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"
