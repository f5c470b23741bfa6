"""Importers of foreign weight formats, one file per format, tried in order."""

from collections.abc import Mapping

from torch import Tensor

from pet.weights.formats import caffe2, torchvision
from pet.weights.formats.base import Converted, Importer
from pet.weights.formats.caffe2 import Caffe2Importer
from pet.weights.formats.detectron2 import Detectron2DetectorImporter, Detectron2TrunkImporter
from pet.weights.formats.detectron2_retinanet import Detectron2RetinaNetImporter
from pet.weights.formats.downloads import DOWNLOADS
from pet.weights.formats.pet import PetImporter
from pet.weights.formats.pet_legacy import PetLegacyImporter
from pet.weights.formats.timm import EfficientNetLiteImporter, TimmImporter
from pet.weights.formats.torchvision import TorchvisionDetectorImporter, TorchvisionResNetImporter
from pet.weights.formats.torchvision_retinanet import TorchvisionRetinaNetImporter

#: RetinaNet comes before the other detectors of its family. Pet's files are recognised by a single
#: name, which other files may have by accident, so they come after those formats; they come before
#: the original Pet's files, which look similar.
IMPORTERS: tuple[Importer, ...] = (
    TorchvisionResNetImporter(),
    TorchvisionRetinaNetImporter(),
    TorchvisionDetectorImporter(),
    Detectron2RetinaNetImporter(),
    Detectron2DetectorImporter(),
    Detectron2TrunkImporter(),
    Caffe2Importer(),
    TimmImporter(),
    EfficientNetLiteImporter(),
    PetImporter(),
    PetLegacyImporter(),
)


def find_importer(state: Mapping[str, Tensor], family: str = "") -> Importer | None:
    """Return the first importer that recognises the keys of ``state``, or None.

    A ``family`` that is not "" restricts the search to its importers.
    """
    for importer in IMPORTERS:
        if family in ("", importer.family) and importer.matches(state):
            return importer
    return None


def download_url(file_name: str) -> str | None:
    """Return the URL of the published file ``file_name``, or None if it is unknown."""
    return {**torchvision.DOWNLOADS, **caffe2.DOWNLOADS, **DOWNLOADS}.get(file_name)


def known_formats() -> str:
    """Return a sentence that lists all known formats."""
    return "known are the state dicts of: " + ", ".join(importer.name for importer in IMPORTERS)


__all__ = ["IMPORTERS", "Converted", "Importer", "download_url", "find_importer", "known_formats"]
