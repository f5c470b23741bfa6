"""Random, balanced sampling of matched candidates for a loss."""

import torch
from torch import Tensor

from pet.modeling.matcher import BACKGROUND, FOREGROUND


def sample_balanced(labels: Tensor, count: int, fraction: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pick at most ``count`` candidates, at most ``fraction`` of them foreground.

    ``labels`` (A,) as ``match_boxes`` gives them. Returns (S,) int64 indices, S = min(``count``,
    A): first the chosen foreground, then the chosen background, which fills the rest, and last, if
    these are too few, candidates that are not chosen; each part in the order of the candidates.
    Also returns int64 scalars: the number of foreground and of all chosen candidates. Nothing waits
    for the device.
    """
    key = random_keys(labels)
    size = min(count, len(labels))
    foreground, num_foreground = _largest(
        key, labels == FOREGROUND, min(int(count * fraction), size)
    )
    background, num_background = _largest(key, labels == BACKGROUND, size)
    place = torch.arange(size, device=labels.device)
    of_background = place - num_foreground + len(foreground)
    of_both = torch.where(place < num_foreground, place, of_background)
    index = torch.cat((foreground, background))[of_both]
    num_chosen = (num_foreground + num_background).clamp(max=size)
    of_part = (place >= num_foreground).long() + (place >= num_chosen)
    order = torch.argsort(of_part * len(labels) + index)
    return index[order], num_foreground, num_chosen


def random_keys(labels: Tensor) -> Tensor:
    """Return (A,) random numbers in [0, 1); the eligible candidates with the largest are chosen."""
    return torch.rand(labels.shape, device=labels.device)


def _largest(key: Tensor, of: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` indices of the largest keys where ``of`` is true, and their number."""
    largest = torch.where(of, key, -1).topk(count)
    return largest.indices, (largest.values >= 0).sum()
