"""The R-CNN family."""

from pet.modeling.rcnn import heads

__all__ = ["heads"]
