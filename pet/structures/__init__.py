"""Frozen dataclasses that the parts exchange."""

from pet.structures.detections import Detections
from pet.structures.image_list import ImageInfo, ImageList, UnresizedImages
from pet.structures.keypoint_layout import KeypointLayout
from pet.structures.segmentation import BitMask, Crop, Mask, MaskCrops, PolygonMask, Rle
from pet.structures.targets import Targets

__all__ = [
    "BitMask",
    "Crop",
    "Detections",
    "ImageInfo",
    "ImageList",
    "KeypointLayout",
    "Mask",
    "MaskCrops",
    "PolygonMask",
    "Rle",
    "Targets",
    "UnresizedImages",
]
