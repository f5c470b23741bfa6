"""A DataLoader whose processes send their batches in shared memory that is used again."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils import data as torch_data

from pet.utils.packed import Packed, Packer, Reader


class PackingCollate:
    """Joins samples in a loader process, and packs the batch for its way to the parent."""

    def __init__(self, collate: Callable[[list[Any]], Any], reader: int) -> None:
        """``collate`` joins samples; ``reader`` is the number of the parent's ``Reader``."""
        self._collate, self._packer = collate, Packer(reader)

    def __call__(self, items: list[Any]) -> Any:
        """Join ``items``, in order."""
        return self._packer.pack(self._collate(items))


class Loader(torch_data.DataLoader):
    """A loader whose processes pack their batches."""

    def __init__(
        self,
        items: torch_data.Dataset[Any],
        *,
        collate_fn: Callable[[list[Any]], Any],
        num_workers: int,
        pin_memory: bool,
        **options: Any,
    ) -> None:
        """Take what a ``DataLoader`` takes."""
        self._reader = Reader(pin_memory)
        if num_workers:
            collate_fn = PackingCollate(collate_fn, self._reader.number)
        super().__init__(
            items,
            collate_fn=collate_fn,
            num_workers=num_workers,
            pin_memory=pin_memory,
            **options,
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Start reading, and return the batches."""
        batches = super().__iter__()
        return self._unpack(batches) if self.num_workers else batches

    def _unpack(self, batches: Iterator[Packed]) -> Iterator[Any]:
        # A method, so that the reader is there for as long as batches arrive.
        for batch in batches:
            yield batch.unpack()
