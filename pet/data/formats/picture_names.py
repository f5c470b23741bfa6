"""The pictures of a folder by their names without endings."""

from collections import defaultdict
from pathlib import Path

from pet.data.formats.pictures import list_pictures


class PictureNames:
    """The names of the picture files in a folder and its folders, relative to it, with slashes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names = folder, list_pictures(folder)
        self._known = set(self.names)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            self._by_stem[without_ending(name)].append(name)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def of_stem(self, stem: str) -> list[str]:
        """Return the names that are ``stem``, which may have folders, and an ending."""
        return self._by_stem.get(stem, [])


def without_ending(name: str) -> str:
    """Return the file name ``name`` without the part from its last dot on; folders are kept."""
    head, dot, ending = name.rpartition(".")
    return head if dot and "/" not in ending else name
