"""Trunks, registered by name."""

from pet.modeling.backbones import resnet

__all__ = ["resnet"]
