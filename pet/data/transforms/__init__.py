"""What happens to a sample between its file and the batch.

A transform takes a sample and a random generator, and returns a new sample. All chance comes from
that generator, so that a sample depends on its seed only. ``TRAIN.TRANSFORMS`` names those of
training.
"""

from pet.data.registry import Transform
from pet.data.transforms.flip import RandomHorizontalFlip
from pet.data.transforms.resize import Resize, resize_image, resized_size

__all__ = ["RandomHorizontalFlip", "Resize", "Transform", "resize_image", "resized_size"]
