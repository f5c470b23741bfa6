"""The parts of a data set in a user's folder, whose format is detected."""

import shlex
from pathlib import Path

from pet.data.formats import FORMATS, Part

#: How the names of parts with masks end, in formats that have other lists for these.
_WITH_MASKS = "-masks"


def find_part(folder: Path, name: str, with_masks: bool) -> tuple[str, Part]:
    """Return the format and the files of part ``name``, such as "train", of the data in ``folder``.

    Of several formats, the first in ``FORMATS`` that has the part counts. ``with_masks`` prefers
    its part with masks, where it has another one for these. Raises
    FileNotFoundError if there is no such folder, and ValueError if it has no such part, or no
    format that Pet reads.
    """
    if not folder.is_dir():
        kind = "is no folder" if folder.exists() else "does not exist"
        raise FileNotFoundError(f"DATA must be the folder of a data set, but {folder} {kind}")
    found: dict[str, tuple[Part, ...]] = {}
    wanted = [name + _WITH_MASKS, name] if with_masks else [name]
    for each in FORMATS.values():
        parts = each.find(folder)
        for choice in wanted:
            for part in parts:
                if part.name == choice:
                    return each.name, part  # files of later formats do not matter
        if parts:
            found[each.name] = parts
    raise ValueError(_describe_nothing(folder, name, found))


def _describe_nothing(folder: Path, name: str, found: dict[str, tuple[Part, ...]]) -> str:
    if not found:
        return (
            f"DATA {folder} holds no data set in a format that Pet reads ({', '.join(FORMATS)}); "
            "docs/formats.md shows the layouts; or give DATASETS.<name>.IMAGES, ANNOTATIONS and "
            "TYPE"
        )
    if any(part.name == "all" for parts in found.values() for part in parts):
        return (
            f"DATA {folder} is not divided into parts for training and testing, so there is no "
            f"part {name!r}; divide it: {_division(folder)}"
        )
    several = [p for parts in found.values() for p in parts if p.name.startswith(f"{name}-")]
    if len(several) > 1:
        return (
            f"DATA {folder} has several parts {name!r}: {', '.join(p.name for p in several)}; give "
            f"the folder of one of them, such as {several[-1].images.parent}"
        )
    parts = ", ".join(f"{part.name} ({kind})" for kind, all_ in found.items() for part in all_)
    return (
        f"DATA {folder} has no part {name!r}; it has {parts}; to divide all of its pictures anew: "
        f"{_division(folder)}"
    )


def _division(folder: Path) -> str:
    """Return the command that divides ``folder`` into parts that are found in it."""
    out = folder / "annotations" / "instances.json"
    words = ("python", "tools/convert_data.py", str(folder), str(out), "--split", "0.8,0.2")
    return shlex.join(words)
