"""Which images make up which batch: decided by the seed and the place in the run only."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Protocol

import numpy as np

from pet.utils.seed import mix_seeds

Key = tuple[int, int]  # index of an image, seed of this occurrence of it


class Order(Protocol):
    """The order of the images in each epoch."""

    def epoch(self, number: int) -> np.ndarray:
        """Return the indices (n,) int64 of epoch ``number``, from 0; never none."""


@dataclass(frozen=True)
class ShuffledOrder:
    """Each image once an epoch, shuffled."""

    images: int  # number of images
    seed: int

    def epoch(self, number: int) -> np.ndarray:
        """Return the indices of epoch ``number``."""
        return np.random.default_rng(mix_seeds(self.seed, number)).permutation(self.images)


@dataclass(frozen=True)
class RepeatFactorOrder:
    """Each image as often as its factor says, on average over the epochs, shuffled."""

    factors: np.ndarray  # (images,) float64, >= 1
    seed: int

    def epoch(self, number: int) -> np.ndarray:
        """Return the indices of epoch ``number``; the fraction of a factor is drawn by chance."""
        rng = np.random.default_rng(mix_seeds(self.seed, number))
        whole = np.floor(self.factors)
        repeats = whole + (rng.random(len(self.factors)) < self.factors - whole)
        return rng.permutation(np.repeat(np.arange(len(self.factors)), repeats.astype(np.int64)))


def repeat_factors(labels: Sequence[Sequence[int]], threshold: float) -> np.ndarray:
    """Return the repeat factor (images,) of each image from the labels of its objects.

    A class in a fraction f of the images has the factor max(1, sqrt(threshold / f)); an image has
    the largest of its classes', and 1 with none. Source: LVIS (Gupta et al. 2019), section 5.3.
    """
    per_image = [set(image_labels) for image_labels in labels]
    images_with = Counter(label for image_labels in per_image for label in image_labels)
    factor_of = {
        label: max(1.0, math.sqrt(threshold * len(labels) / number))
        for label, number in images_with.items()
    }
    return np.array(
        [
            max((factor_of[label] for label in image_labels), default=1.0)
            for image_labels in per_image
        ]
    )


class TrainBatchSampler:
    """The batches of one process, from iteration ``start_iter`` to ``max_iter``.

    One endless stream of images, the same for every number of processes, fills mini-batches; each
    holds images of one group only. Mini-batch i * world_size + rank is what process ``rank`` sees
    at iteration i. An image waits for others of its group, over the end of an epoch if need be, so
    that none is left out. Starting late skips what came before without loading it.
    """

    def __init__(
        self,
        order: Order,
        groups: np.ndarray,
        *,
        batch_size: int,
        max_iter: int,
        seed: int,
        start_iter: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """``groups`` (images,) int64 from 0; ``batch_size`` of one process."""
        self._order, self._groups, self._seed = order, groups, seed
        self._batch_size = batch_size
        self._start_iter, self._max_iter = start_iter, max_iter
        self._rank, self._world_size = rank, world_size

    def __len__(self) -> int:
        return max(self._max_iter - self._start_iter, 0)

    def __iter__(self) -> Iterator[list[Key]]:
        """Yield the keys of each batch."""
        first = self._start_iter * self._world_size + self._rank
        mine = islice(self._mini_batches(), first, None, self._world_size)
        for batch in islice(mine, len(self)):
            # The seed is that of the place in the stream, whichever process comes to it.
            yield [(index, mix_seeds(self._seed, place)) for index, place in batch]

    def _mini_batches(self) -> Iterator[list[tuple[int, int]]]:
        """Yield (index, place in the stream) of every process's batches, without end."""
        waiting: dict[int, list[tuple[int, int]]] = {}
        group_of = self._groups.tolist()
        for place, index in enumerate(self._stream()):
            batch = waiting.setdefault(group_of[index], [])
            batch.append((index, place))
            if len(batch) == self._batch_size:
                yield batch
                waiting[group_of[index]] = []

    def _stream(self) -> Iterator[int]:
        for number in count():
            yield from self._order.epoch(number).tolist()


class TestBatchSampler:
    """The batches of one process in testing: each image once, in order within its group.

    The batches are put together first and dealt to the processes whole, so that what an image is
    batched with does not depend on the number of processes.
    """

    __test__ = False  # not a test case, for all its name

    def __init__(
        self, groups: np.ndarray, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        """``groups`` (images,) int64: only images of one group share a batch."""
        batches = []
        for group in np.unique(groups):
            members = np.flatnonzero(groups == group).tolist()
            batches += [
                members[start : start + batch_size] for start in range(0, len(members), batch_size)
            ]
        self._batches = sorted(batches)[rank::world_size]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the indices of each batch."""
        return iter(self._batches)
