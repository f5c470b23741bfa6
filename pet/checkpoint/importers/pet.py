"""Pet's own state dicts."""

from torch import Tensor


class PetImporter:
    """Every model of Pet holds its trunk as ``Conv_Body``; nothing needs another name."""

    name = "Pet"

    def matches(self, state: dict[str, Tensor]) -> bool:
        """Whether ``state`` has a trunk under Pet's name."""
        return any(key.startswith("Conv_Body.") for key in state)

    def convert(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return ``state`` as it is."""
        return dict(state)
