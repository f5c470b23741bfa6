"""Transforms of a sample between its file and the batch.

A transform takes a sample and a random generator, and returns a new sample. It draws all random
numbers from that generator, so that a sample depends only on its seed. ``TRAIN.TRANSFORMS`` names
those of training.
"""

from pet.data.registry import Transform
from pet.data.transforms.color_jitter import ColorJitter
from pet.data.transforms.copy_paste import CopyPaste
from pet.data.transforms.flip import RandomHorizontalFlip
from pet.data.transforms.large_scale_jitter import LargeScaleJitter
from pet.data.transforms.random_crop import RandomCrop
from pet.data.transforms.resize import Resize, resize_image, resized_size
from pet.data.transforms.rotate90 import RandomRotate90
from pet.data.transforms.vertical_flip import RandomVerticalFlip

__all__ = [
    "ColorJitter",
    "CopyPaste",
    "LargeScaleJitter",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomRotate90",
    "RandomVerticalFlip",
    "Resize",
    "Transform",
    "resize_image",
    "resized_size",
]
