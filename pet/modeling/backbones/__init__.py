"""Trunks, registered by name."""

from pet.modeling.backbones import resnet, timm_backbone

__all__ = ["resnet", "timm_backbone"]
