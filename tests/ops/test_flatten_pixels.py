import pytest
import torch

from pet.ops.flatten_pixels import flatten_pixels


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_rows_are_the_pixels_and_so_are_their_gradients(layout):
    x = torch.randn(2, 3, 4, 5).contiguous(memory_format=layout).requires_grad_()
    rows = flatten_pixels(x)
    assert rows.shape == (40, 3)
    assert torch.equal(rows[27], x[1, :, 1, 2])
    weight = torch.randn(40, 3)
    (rows * weight).sum().backward()
    assert torch.equal(x.grad, weight.view(2, 4, 5, 3).permute(0, 3, 1, 2))
