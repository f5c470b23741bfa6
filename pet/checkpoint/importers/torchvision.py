"""ImageNet ResNets in the key names of torchvision, and where their files are to be had."""

from pathlib import Path

from torch import Tensor
from torchvision.models import (
    ResNet18_Weights,
    ResNet34_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    ResNet152_Weights,
    WeightsEnum,
)

_TRUNK = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")
_FAMILIES: tuple[type[WeightsEnum], ...] = (
    ResNet18_Weights,
    ResNet34_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
    ResNet152_Weights,
)


class TorchvisionResNetImporter:
    """A ResNet becomes the trunk; its classifier, ``fc``, has no place in a detector."""

    name = "torchvision ResNet"

    def matches(self, state: dict[str, Tensor]) -> bool:
        """Whether ``state`` has a ResNet's stem and first and last stage, without a prefix."""
        return {"conv1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight"} <= state.keys()

    def convert(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return ``state`` with the trunk's keys under ``Conv_Body.``."""
        return {
            f"Conv_Body.{key}" if key.startswith(_TRUNK) else key: value
            for key, value in state.items()
        }


def download_url(file_name: str) -> str | None:
    """Return where torchvision offers ``file_name``, or None where it is none of its ResNets."""
    for family in _FAMILIES:
        for weights in family:
            if Path(weights.value.url).name == file_name:
                return weights.value.url
    return None
