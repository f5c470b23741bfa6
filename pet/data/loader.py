"""A DataLoader whose workers send their batches in shared memory that is reused."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils import data as torch_data

from pet.utils.batch_transfer import Packed, Packer, Reader
from pet.utils.sigint import holding_interrupts


class PackingCollate:
    """Joins samples, and in a worker packs the batch for sending to the parent."""

    def __init__(self, collate: Callable[[list[Any]], Any], reader: int) -> None:
        """``collate`` joins samples; ``reader`` is the number of the parent's ``Reader``."""
        self._collate, self._packer = collate, Packer(reader)

    def __call__(self, items: list[Any]) -> Any:
        """Join ``items``, in order."""
        batch = self._collate(items)
        in_process = torch_data.get_worker_info() is not None
        return self._packer.pack(batch) if in_process else batch


class Loader(torch_data.DataLoader):
    """A DataLoader whose persistent workers pack their batches."""

    def __init__(
        self,
        items: torch_data.Dataset[Any],
        *,
        collate_fn: Callable[[list[Any]], Any],
        num_workers: int = 0,
        pin_memory: bool = False,
        **options: Any,
    ) -> None:
        """Take the arguments of a DataLoader, all but the data set by keyword."""
        self._reader = Reader(pin_memory)
        super().__init__(
            items,
            collate_fn=PackingCollate(collate_fn, self._reader.number),
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=pin_memory,
            **options,
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Start the workers, and return the batches."""
        with holding_interrupts():  # only the reading process handles Ctrl-C
            return _Batches(self, super().__iter__())


class _Batches:
    """The batches of a loader, which they keep alive while they are read."""

    def __init__(self, loader: Loader, batches: Any) -> None:
        self._loader, self._batches = loader, batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = next(self._batches)
        return batch.unpack() if isinstance(batch, Packed) else batch
