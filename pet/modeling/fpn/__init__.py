"""Feature pyramids, registered by name."""

from pet.modeling.fpn import fpn

__all__ = ["fpn"]
