"""A random, balanced part of the matched candidates for a loss to look at."""

import torch
from torch import Tensor

from pet.modeling.matcher import BACKGROUND, FOREGROUND


def sample_balanced(labels: Tensor, count: int, fraction: float) -> tuple[Tensor, Tensor]:
    """Pick at most ``count`` candidates, at most ``fraction`` of them foreground.

    ``labels`` (A,) as ``match_boxes`` gives them. Returns the int64 indices of the chosen
    foreground and of the chosen background, which fills up what the foreground leaves.
    """
    foreground = torch.nonzero(labels == FOREGROUND).squeeze(1)
    background = torch.nonzero(labels == BACKGROUND).squeeze(1)
    foreground = _random_part(foreground, int(count * fraction))
    return foreground, _random_part(background, count - len(foreground))


def _random_part(index: Tensor, count: int) -> Tensor:
    if len(index) <= count:
        return index
    return index[torch.randperm(len(index), device=index.device)[:count]]
