import pytest
import torch

from pet.data.loader import Loader

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


class Numbers(torch.utils.data.Dataset):
    """8 numbers, of which the fourth cannot be read."""

    def __init__(self, broken=3):
        self.broken = broken

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if index == self.broken:
            raise ValueError(f"number {index} is broken")
        return torch.full((100 * (index + 1),), index)


def read(batches):
    """Return the first value of every tensor, batch by batch."""
    return [[int(tensor[0]) for tensor in batch] for batch in batches]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_batches(workers):
    loader = Loader(Numbers(None), collate_fn=list, num_workers=workers, batch_size=2)
    assert len(loader) == len(iter(loader)) == 4
    for _ in range(2):
        assert read(loader) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    for _ in range(3):  # begun and left
        assert read([next(iter(loader))]) == [[0, 1]]
    assert read(loader) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert loader.collate_fn([torch.zeros(1)])[0].tolist() == [0]
    # No worker has had more than it reads ahead, and the one that was being read.
    assert len(loader._reader._buffers) <= 3 * workers


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_goes_on_after_an_error(workers):
    batches = iter(Loader(Numbers(), collate_fn=list, num_workers=workers, batch_size=2))
    assert read([next(batches)]) == [[0, 1]]
    with pytest.raises(ValueError, match="number 3 is broken"):
        next(batches)
    assert read(batches) == [[4, 5], [6, 7]]
