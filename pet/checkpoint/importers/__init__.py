"""Foreign formats of weights: one file a format, tried in order."""

from typing import Protocol

from torch import Tensor

from .pet import PetImporter
from .torchvision import TorchvisionResNetImporter


class Importer(Protocol):
    """Recognises one format by the keys of its state dict, and renames them to Pet's."""

    #: What the format is called in messages.
    name: str

    def matches(self, state: dict[str, Tensor]) -> bool:
        """Whether ``state`` is of this format."""

    def convert(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return ``state`` with Pet's keys; a key that has no place in Pet keeps its name."""


IMPORTERS: tuple[Importer, ...] = (PetImporter(), TorchvisionResNetImporter())
