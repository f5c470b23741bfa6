"""Dividing images into parts in which the classes come in equal shares.

Iterative stratification: Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label
data", ECML PKDD 2011, algorithm 1.
"""

from collections.abc import Collection, Sequence

import numpy as np


def stratify(
    classes_of: Sequence[Collection[int]], shares: Sequence[float], seed: int
) -> list[list[int]]:
    """Return the numbers of the images in each part, ascending; every image is in exactly one.

    ``classes_of`` are the classes 0..K-1 in each image, ``shares`` those of the parts, with the sum
    1. The images of the rarest class are dealt out first, each to the part that lacks most of the
    class; images without objects come last. ``seed`` decides between equals.
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
    return [np.flatnonzero(part_of == part).tolist() for part in range(len(shares))]


def _neediest(needs: np.ndarray, space: np.ndarray, rng: np.random.Generator) -> int:
    """Return the part with the greatest need, among equals that with the most space."""
    equals = np.flatnonzero(np.isclose(needs, needs.max()))
    equals = equals[np.isclose(space[equals], space[equals].max())]
    return int(rng.choice(equals))
