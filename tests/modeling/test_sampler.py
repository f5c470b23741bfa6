import pytest
import torch
from torch import Tensor

from pet.modeling.matcher import BACKGROUND, FOREGROUND, IGNORED
from pet.modeling.sampler import sample_balanced


def shuffled(foreground: int, background: int, ignored: int = 7) -> Tensor:
    labels = [FOREGROUND] * foreground + [BACKGROUND] * background + [IGNORED] * ignored
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return torch.tensor(labels, dtype=torch.int64)[order]


def sample(labels: Tensor, count: int, fraction: float) -> tuple[Tensor, Tensor]:
    """Return the indices of the chosen foreground, and of the chosen background."""
    index, num_foreground, num_chosen = sample_balanced(labels, count, fraction)
    return index[:num_foreground], index[num_foreground:num_chosen]


@pytest.mark.parametrize(
    ("foreground", "background", "chosen"),
    [
        (50, 500, (16, 48)),  # plenty of both: a quarter of 64
        (5, 500, (5, 59)),  # the background fills up what the foreground leaves
        (50, 10, (16, 10)),  # the foreground does not fill up
        (0, 500, (0, 64)),
        (50, 0, (16, 0)),
        (0, 0, (0, 0)),
        (16, 48, (16, 48)),
    ],
)
def test_counts(foreground, background, chosen):
    labels = shuffled(foreground, background)
    fg, bg = sample(labels, 64, 0.25)
    assert (len(fg), len(bg)) == chosen
    assert (labels[fg] == FOREGROUND).all() and (labels[bg] == BACKGROUND).all()
    assert len(fg.unique()) == len(fg) and len(bg.unique()) == len(bg)
    assert fg.dtype == bg.dtype == torch.int64


def test_all_that_there_is_comes_in_its_order():
    labels = torch.tensor([IGNORED, BACKGROUND, FOREGROUND, BACKGROUND, IGNORED, FOREGROUND])
    index, num_foreground, num_chosen = sample_balanced(labels, 64, 0.5)
    assert (num_foreground.item(), num_chosen.item()) == (2, 4)
    assert index[:4].tolist() == [2, 5, 1, 3] and len(index) == 6
    index, num_foreground, num_chosen = sample_balanced(labels, 3, 0.5)
    assert (num_foreground.item(), num_chosen.item(), len(index)) == (1, 3, 3)
    assert index[1:].tolist() == [1, 3]


def test_there_may_be_no_foreground_to_draw():
    index, num_foreground, num_chosen = sample_balanced(shuffled(50, 500), 64, 0.0)
    assert (num_foreground.item(), num_chosen.item(), len(index)) == (0, 64, 64)


def test_the_seed_decides():
    labels = shuffled(50, 500)
    picks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        picks.append(torch.cat(sample(labels, 64, 0.5)))
    assert torch.equal(picks[0], picks[1])
    assert not torch.equal(picks[0], picks[2])


def test_every_candidate_is_as_likely():
    torch.manual_seed(0)
    labels = shuffled(10, 40, ignored=0)
    hits = torch.zeros(50)
    for _ in range(2000):
        fg, bg = sample(labels, 10, 0.5)
        hits[fg] += 1
        hits[bg] += 1
    # 5 of 10 and 5 of 40 each time; three standard deviations are 67 and 44.
    assert (hits[labels == FOREGROUND] - 1000).abs().max() < 100
    assert (hits[labels == BACKGROUND] - 250).abs().max() < 75
