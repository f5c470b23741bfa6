"""RoIAlign by rows gives what torchvision's operator does, forward and backward."""

import math

import pytest
import torch
from torchvision.ops import roi_align

from pet.ops.cpu.roi_align import roi_align_cpu


def some_rois(count: int, images: int, seed: int = 0) -> torch.Tensor:
    """Return RoIs of all sizes, inside, across the border, outside, and empty."""
    random = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=random) * 140 - 30
    side = torch.rand(count, 2, generator=random) ** 3 * 150
    image = torch.randint(images, (count, 1), generator=random).float()
    rois = torch.cat([image, corner, corner + side], dim=1)
    rois[0, 3:] = rois[0, 1:3]  # without area
    rois[1, 1:] = torch.tensor([-500.0, -500.0, -400.0, -400.0])  # far outside
    rois[2, 1:] = torch.tensor([0.0, 0.0, 96.0, 80.0])  # the whole image
    rois[3, 1:] = torch.tensor([20.0, 30.0, 10.0, 15.0])  # turned inside out
    return rois


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 1, 2, 3])
def test_it_is_torchvisions(sampling_ratio, aligned, layout):
    torch.manual_seed(0)
    maps = torch.randn(2, 5, 20, 24, dtype=torch.float64).contiguous(memory_format=layout)
    rois = some_rois(60, images=2).double()
    args = (rois, (7, 5), 0.25, sampling_ratio, aligned)
    ours, theirs = (maps.clone().requires_grad_() for _ in range(2))
    found, wanted = roi_align_cpu(ours, *args), roi_align(theirs, *args)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    seen = (wanted != 0).flatten(1).any(dim=1)
    assert not seen[1] and seen.sum() > 30
    weight = torch.randn_like(wanted)
    (found * weight).sum().backward()
    (wanted * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-11)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_no_rois(sampling_ratio):
    maps = torch.randn(1, 3, 8, 8, requires_grad=True)
    found = roi_align_cpu(maps, torch.zeros(0, 5), (7, 7), 0.25, sampling_ratio, True)
    assert found.shape == (0, 3, 7, 7)
    found.sum().backward()
    assert maps.grad is not None and (maps.grad == 0).all()


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_rois_that_are_not_finite_leave_the_others_alone(sampling_ratio, aligned):
    torch.manual_seed(0)
    maps = torch.randn(2, 5, 20, 24)
    rois = some_rois(60, images=2)
    args = ((7, 5), 0.25, sampling_ratio, aligned)
    wanted = roi_align(maps, rois, *args)
    rois[10, 1:], rois[11, 3], rois[12, 2] = math.nan, math.nan, math.nan
    rois[13, 3:], rois[14, 1], rois[15, 1:] = math.inf, -math.inf, math.inf
    found = roi_align_cpu(maps, rois, *args)
    finite = rois.isfinite().all(dim=1)
    torch.testing.assert_close(found[finite], wanted[finite], rtol=0, atol=1e-5)
    assert (found[15] == 0).all() and (found[10] == 0).all()


def test_by_hand():
    # One cell over the pixels (0, 0) .. (2, 2) of a ramp: their mean, the ramp at the centre.
    ramp = (10 * torch.arange(4.0)[:, None] + torch.arange(4.0))[None, None]
    roi = torch.tensor([[0.0, 0.0, 0.0, 2.0, 2.0]])
    assert roi_align_cpu(ramp, roi, (1, 1), 1.0, 2, aligned=True).item() == pytest.approx(5.5)
    assert roi_align_cpu(ramp, roi, (1, 1), 1.0, 2, aligned=False).item() == pytest.approx(11)
