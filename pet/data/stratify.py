"""Dividing images into parts in which the classes come in equal shares.

Iterative stratification: Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label
data", ECML PKDD 2011, algorithm 1.
"""

from collections.abc import Collection, Sequence

import numpy as np

_ROUNDING = 1e-6  # of numbers of images


def stratify(
    classes_of: Sequence[Collection[int]], shares: Sequence[float], seed: int
) -> list[list[int]]:
    """Return the numbers of the images in each part, ascending; every image is in exactly one.

    ``classes_of`` are the classes 0..K-1 in each image, ``shares`` those of the parts, with the sum
    1. The images of the rarest class are dealt out first, each to the part that lacks most of the
    class; images without objects come last. A class of so few images that one part needs them all
    leaves the others short: these then get images whose classes the first part keeps. ``seed``
    decides between equals.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(classes_of)).tolist()
    count = 1 + max((max(classes, default=-1) for classes in classes_of), default=-1)
    images_of: list[list[int]] = [[] for _ in range(count)]
    for image in order:
        for each in set(classes_of[image]):
            images_of[each].append(image)
    left = np.array([len(images) for images in images_of], np.int64)
    lacking = np.outer(left, shares)  # (K, parts): images of a class that a part still needs
    space = len(order) * np.asarray(shares, np.float64)  # images that a part still needs
    part_of = np.full(len(order), -1)

    def assign(image: int, part: int) -> None:
        classes = list(set(classes_of[image]))
        part_of[image] = part
        space[part] -= 1
        lacking[classes, part] -= 1
        left[classes] -= 1

    while left.any():
        rarest = int(np.argmin(np.where(left > 0, left, len(order) + 1)))
        for image in images_of[rarest]:
            if part_of[image] < 0:
                assign(image, _neediest(lacking[rarest], space, rng))
    for image in order:
        if part_of[image] < 0:
            assign(image, _neediest(space, space, rng))
    _fill(part_of, [list(set(classes)) for classes in classes_of], count, shares)
    return [np.flatnonzero(part_of == part).tolist() for part in range(len(shares))]


def _neediest(needs: np.ndarray, space: np.ndarray, rng: np.random.Generator) -> int:
    """Return the part with the greatest need, among equals that with the most space."""
    equals = np.flatnonzero(np.isclose(needs, needs.max()))
    equals = equals[np.isclose(space[equals], space[equals].max())]
    return int(rng.choice(equals))


def _fill(
    part_of: np.ndarray, classes_of: Sequence[list[int]], count: int, shares: Sequence[float]
) -> None:
    """Move images, in place, to parts that lack whole ones, from the part with the most too many.

    The last image of any of the ``count`` classes in that part is moved only if the other is empty.
    """
    wanted = len(part_of) * np.asarray(shares, np.float64)
    for part in np.argsort(wanted).tolist():
        surplus = np.bincount(part_of, minlength=len(shares)) - wanted
        giver, lacking = int(np.argmax(surplus)), int(-surplus[part] + _ROUNDING)
        if lacking < 1:
            continue
        images = np.flatnonzero(part_of == giver).tolist()
        left = np.zeros(count, np.int64)
        for image in images:
            left[classes_of[image]] += 1
        fewest = {image: left[classes_of[image]].min(initial=len(part_of)) for image in images}
        for image in sorted(images, key=lambda each: -fewest[each]):
            is_kept = left[classes_of[image]].min(initial=len(part_of)) < 2
            if is_kept and (part_of == part).any():
                continue
            part_of[image] = part
            left[classes_of[image]] -= 1
            lacking -= 1
            if not lacking:
                break
