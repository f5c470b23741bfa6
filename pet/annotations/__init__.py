"""Ground truth: annotation files read and checked once, for training, testing and looking."""

from pet.annotations.reader import read_annotations
from pet.annotations.table import Annotations

__all__ = ["Annotations", "read_annotations"]
