"""Feature pyramids, registered by name."""

from pet.modeling.fpn import fpn, fpn_p6p7

__all__ = ["fpn", "fpn_p6p7"]
