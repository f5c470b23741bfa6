"""Pet's own state dicts."""

from collections.abc import Mapping

from torch import Tensor

from pet.weights.formats.base import Converted
from pet.weights.formats.pet_legacy import has_original_names


class PetImporter:
    """Imports Pet's own state dicts, which need no renaming."""

    name = "Pet"
    family = "pet"

    def matches(self, state: Mapping[str, Tensor]) -> bool:
        """Whether ``state`` has a trunk under Pet's name, and no name of the original Pet."""
        return has_trunk(state) and not has_original_names(state)

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        """Return ``state`` unchanged."""
        return Converted(dict(state))


def has_trunk(state: Mapping[str, Tensor]) -> bool:
    """Whether ``state`` has weights under ``Conv_Body.``, the trunk of every model of Pet."""
    return any(key.startswith("Conv_Body.") for key in state)
