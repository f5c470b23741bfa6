"""Ground truth: read and checked once, for training, testing and looking."""

from pet.annotations.reader import read_annotations
from pet.annotations.records import annotations_from_records
from pet.annotations.table import Annotations

__all__ = ["Annotations", "annotations_from_records", "read_annotations"]
