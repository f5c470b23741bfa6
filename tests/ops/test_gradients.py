import torch

from pet.ops.gradients import scale_gradient


def test_the_gradient_is_scaled_and_the_value_is_not():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = scale_gradient(x, 0.25)
    assert torch.equal(y, x)
    (y * torch.tensor([8.0, 4.0])).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [2.0, 1.0]


def test_it_works_on_nothing_and_without_gradients():
    empty = torch.zeros(0, 3, requires_grad=True)
    scale_gradient(empty, 0.5).sum().backward()
    assert empty.grad is not None and empty.grad.shape == (0, 3)
    assert torch.equal(scale_gradient(torch.ones(2), 0.5), torch.ones(2))
