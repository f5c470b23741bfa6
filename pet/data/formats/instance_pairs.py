"""Pictures and the PNGs with their instances, paired by name, and the folders that hold both."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pet.annotations.values import shorten
from pet.data.formats.format import Part
from pet.data.formats.notes import Notes
from pet.data.formats.picture_names import PictureNames, without_ending
from pet.data.formats.pictures import PICTURE_ENDINGS
from pet.data.image_file import shown_path

# Cityscapes: aachen_000000_000019_leftImg8bit.png has aachen_000000_000019_gtFine_instanceIds.png.
_INSTANCES = "_instanceIds"
_GROUND_TRUTHS = ("_gtFine", "_gtCoarse")
_PICTURE = "_leftImg8bit"

_CITYSCAPES_FOLDERS = ("leftImg8bit", "gtFine")
_PICTURE_FOLDERS = ("images", "Images", "imgs", "JPEGImages")
_MASK_FOLDERS = ("masks", "Masks", "instances")
_PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Pairs:
    """The pictures of a part, sorted, each with the path of its PNG."""

    of_cityscapes: bool
    pictures: tuple[tuple[str, Path], ...]


def pair(images: Path, annotations: Path, notes: Notes) -> Pairs:
    """Return the pictures under ``images`` that have a PNG under ``annotations``.

    A picture and its PNG have the same name without ending, in the same folder of either; if there
    are files of Cityscapes, only those are taken. Raises FileNotFoundError if there is no pair, and
    ValueError if two pictures have the same name.
    """
    names = sorted(path.relative_to(annotations).as_posix() for path in _pngs(annotations))
    stems = {without_ending(name): name for name in names}
    of_cityscapes = any(stem.endswith(_INSTANCES) for stem in stems)
    if of_cityscapes:
        stems = {_key(stem): name for stem, name in stems.items() if stem.endswith(_INSTANCES)}
    pictures = PictureNames(images)
    found = []
    for key, name in stems.items():
        own = pictures.of_stem(f"{key}{_PICTURE}" if of_cityscapes else key)
        own = [each for each in own if images / each != annotations / name]
        if len(own) > 1:
            raise ValueError(
                f"several pictures in {shown_path(images)} belong to "
                f"{shown_path(annotations / name)}: {shorten(own)}; take out all but one"
            )
        if own:
            found.append((own[0], annotations / name))
        else:
            notes.add("PNG files without a picture are left out", shown_path(annotations / name))
    if not found:
        raise FileNotFoundError(
            f"no picture in {shown_path(images)} has a PNG of the same name in "
            f"{shown_path(annotations)}: {shorten(pictures.names) or 'none'} there, "
            f"{shorten(names) or 'none'} here"
        )
    _note_lonely(pictures, found, annotations, notes)
    return Pairs(of_cityscapes, tuple(sorted(found)))


def _note_lonely(
    pictures: PictureNames, found: Iterable[tuple[str, Path]], annotations: Path, notes: Notes
) -> None:
    """Count the pictures without a PNG, but for those that lie in the folder of the PNGs."""
    used = {name for name, _ in found}
    for name in pictures.names:
        path = pictures.folder / name
        if name not in used and annotations not in path.parents:
            notes.add("pictures without a PNG are left out", shown_path(path))


def _key(stem: str) -> str:
    stem = stem.removesuffix(_INSTANCES)
    for ending in _GROUND_TRUTHS:
        stem = stem.removesuffix(ending)
    return stem


def _pngs(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*.png") if not path.name.startswith("."))


def find_instance_pngs(folder: Path) -> tuple[Part, ...]:
    """Return the parts of the data set in ``folder``, () if it has no PNGs of instances.

    They are the folders train and val of Cityscapes' leftImg8bit and gtFine (those of test have no
    annotations), or of images and masks; or train, val and test have such folders, or the folder
    itself has, which is one part, "all".
    """
    images, masks = (folder / name for name in _CITYSCAPES_FOLDERS)
    parts = [
        Part(name, images / name, masks / name)
        for name in ("train", "val")
        if (images / name).is_dir() and any(masks.glob(f"{name}/*/*{_INSTANCES}.png"))
    ]
    if parts:
        return tuple(parts)
    found = []
    for name in _PARTS:
        # images/train and masks/train, or train/images and train/masks
        inside, outside = _folders(folder, name), _folders(folder / name, "")
        found += [Part(name, *folders) for folders in (inside, outside) if folders is not None]
    whole = _folders(folder, "")
    if not found and whole is not None:
        found = [Part("all", *whole)]
    return tuple(found)


def _folders(root: Path, part: str) -> tuple[Path, Path] | None:
    """Return the folders of pictures and masks in ``root``, or of a part in these, if they pair."""
    for image_folder in _PICTURE_FOLDERS:
        for mask_folder in _MASK_FOLDERS:
            images, masks = root / image_folder / part, root / mask_folder / part
            if images.is_dir() and masks.is_dir() and _pair_up(images, masks):
                return images, masks
    return None


def _pair_up(images: Path, masks: Path) -> bool:
    """Whether the first PNG in ``masks`` itself has a picture in ``images``."""
    first = next((path for path in sorted(masks.glob("*.png")) if path.is_file()), None)
    return first is not None and any(
        path.stem == first.stem and path.suffix.lower() in PICTURE_ENDINGS
        for path in images.iterdir()
    )
