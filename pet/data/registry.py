"""The formats of data sets that a config chooses by ``DATASETS.<name>.TYPE``."""

from collections.abc import Callable

from pet.data.datasets import CocoDataset
from pet.utils.registry import Registry

#: ``reader(name, images, annotations, **options)`` -> a ``CocoDataset``, or what has its interface.
#: ``images`` and ``annotations`` are the paths of the ``DATASETS`` block; the options are those of
#: ``CocoDataset``.
DATASET_TYPES: Registry[Callable[..., CocoDataset]] = Registry(
    "type of data set", "DATASETS.<name>.TYPE"
)

DATASET_TYPES.register("coco")(CocoDataset)
