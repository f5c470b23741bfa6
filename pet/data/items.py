"""The images of a data set as the workers of a loader see them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch.utils import data as torch_data

from pet.data.collate import TestItem, TrainItem
from pet.data.dataset import Dataset
from pet.data.registry import Transform
from pet.data.sample import bare_sample, make_targets
from pet.data.samplers import Key


class TrainItems(torch_data.Dataset[TrainItem]):
    """A data set as a loader's worker sees it, in training."""

    def __init__(self, dataset: Dataset, transforms: Sequence[Transform]) -> None:
        self._dataset, self._transforms = dataset, tuple(transforms)

    def __getitem__(self, key: Key) -> TrainItem:
        """Return image ``key[0]``, transformed by chance of the seed ``key[1]``."""
        index, seed = key
        rng = np.random.default_rng(seed)
        sample = self._dataset.read(index)
        for transform in self._transforms:
            sample = transform(sample, rng)
        return sample.batch_image, make_targets(sample), sample.info


class TestItems(torch_data.Dataset[TestItem]):
    """A data set as a loader's worker sees it, in testing."""

    __test__ = False  # not a test case, for all its name

    def __init__(self, dataset: Dataset, transforms: Sequence[Transform]) -> None:
        self._dataset, self._transforms = dataset, tuple(transforms)

    def __getitem__(self, index: int) -> TestItem:
        """Return image ``index``, transformed; black, with an error, where it cannot be read."""
        rng = np.random.default_rng(0)
        try:
            sample = self._dataset.read(index)
        except (OSError, ValueError) as error:
            info = replace(self._dataset.info(index), error=str(error))
            sample = replace(bare_sample(np.zeros((32, 32, 3), np.uint8)), info=info)
        for transform in self._transforms:
            sample = transform(sample, rng)
        return sample.batch_image, sample.info
