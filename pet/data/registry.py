"""What a config chooses by name of the data: formats of data sets, and transforms."""

from collections.abc import Callable

import numpy as np

from pet.config import CfgNode
from pet.data.dataset import Dataset
from pet.data.datasets import CocoDataset
from pet.data.sample import Sample
from pet.utils.registry import Registry

#: A sample and what chance is drawn from -> a new sample.
Transform = Callable[[Sample, np.random.Generator], Sample]

#: What the annotations of a data set can be.
KINDS = ("file", "folder", "file or folder")


class DatasetTypes(Registry[Callable[..., Dataset]]):
    """The formats of data sets, and what each takes as ``DATASETS.<name>.ANNOTATIONS``."""

    def __init__(self) -> None:
        super().__init__("type of data set", "DATASETS.<name>.TYPE")
        self._kinds: dict[str, str] = {}

    def register(
        self, name: str, annotations: str = "file or folder"
    ) -> Callable[[Callable[..., Dataset]], Callable[..., Dataset]]:
        """Return a decorator that files a reader under ``name``; ``annotations`` is of ``KINDS``.

        Raises KeyError where the name is taken, and ValueError for another kind.
        """
        if annotations not in KINDS:
            raise ValueError(
                f"the type of data set {name!r}: annotations must be one of {', '.join(KINDS)}; "
                f"got {annotations!r}"
            )
        file_part = super().register(name)

        def file_reader(reader: Callable[..., Dataset]) -> Callable[..., Dataset]:
            filed = file_part(reader)
            self._kinds[name] = annotations
            return filed

        return file_reader

    def kind_of_annotations(self, name: str) -> str:
        """Return what type ``name`` takes, of ``KINDS``; raises KeyError where there is none."""
        self[name]
        return self._kinds.get(name, "file or folder")


#: ``reader(name, images, annotations, **options)`` -> a ``Dataset``. ``images`` and ``annotations``
#: are the paths of the ``DATASETS`` block; the options are those of ``CocoDataset``, of which
#: ``reader``, ``cache`` and ``classes`` may be left out.
DATASET_TYPES = DatasetTypes()
DATASET_TYPES.register("coco", annotations="file")(CocoDataset)

#: ``builder(cfg, dataset)`` -> a ``Transform`` for the training images of ``dataset``.
TRANSFORMS: Registry[Callable[[CfgNode, Dataset], Transform]] = Registry(
    "transform", "TRAIN.TRANSFORMS"
)
