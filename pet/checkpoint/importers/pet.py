"""Pet's own state dicts."""

from collections.abc import Mapping

from torch import Tensor

from .base import Converted


class PetImporter:
    """Every model of Pet holds its trunk as ``Conv_Body``; nothing needs another name."""

    name = "Pet"
    family = "pet"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has a trunk under Pet's name."""
        return any(key.startswith("Conv_Body.") for key in state)

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` as it is."""
        return Converted(dict(state))
