"""Pictures of the detections of a test, one file per image."""

import os
from collections import Counter
from pathlib import Path, PurePath

from pet.config import CfgNode
from pet.data.build import build_image_reader
from pet.data.dataset import Dataset
from pet.structures import Detections, ImageInfo
from pet.visualization.draw import draw_detections, save_picture


class VisPictures:
    """Draws into ``CKPT``/vis/``name``, keeping the subfolders of the image files."""

    def __init__(self, data: Dataset, class_names: tuple[str, ...], cfg: CfgNode) -> None:
        """Draw the first ``VIS.MAX_IMAGES`` of ``data``; labels are ``class_names``."""
        self._folder = Path(cfg.CKPT, "vis", data.name)
        self._reader = build_image_reader(cfg)
        self._layout = data.keypoint_layout
        self._names = ("object",) if cfg.MODEL.RPN_ONLY else class_names
        self._threshold = cfg.VIS.VIS_TH
        count = min(cfg.VIS.MAX_IMAGES or len(data), len(data))
        self._outputs = _output_names([data.info(index).file for index in range(count)])

    def draw(self, info: ImageInfo, detections: Detections) -> None:
        """Write the picture of an image, if it is one of those to draw."""
        if info.file not in self._outputs:
            return
        image = self._reader.read(info.file, (info.height, info.width))
        picture = draw_detections(image, detections, self._names, self._threshold, self._layout)
        save_picture(self._folder / self._outputs[info.file], picture)


def _output_names(files: list[str]) -> dict[str, str]:
    """Return the picture's name for each file: its path below the folder that all share.

    If two files differ only in their suffix, both names keep it.
    """
    whole = {file: PurePath(os.path.abspath(file)) for file in files}
    shared = 1  # a name does not include the root or drive
    for parts in list(zip(*(path.parent.parts for path in whole.values()), strict=False))[1:]:
        if len(set(parts)) > 1:
            break
        shared += 1
    relative = {file: PurePath(*path.parts[shared:]) for file, path in whole.items()}
    bare = {file: str(path.with_suffix("")) for file, path in relative.items()}
    times = Counter(bare.values())
    return {
        file: f"{bare[file] if times[bare[file]] == 1 else relative[file]}.jpg" for file in files
    }
