import pytest
import torch
import torchvision.ops
from torch import nn

from pet.layers.norm import FrozenBatchNorm2d, make_norm, scale_and_shift
from tests.layers.random_norm import randomise_norms


@pytest.fixture
def batch_norm() -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(6)
    randomise_norms(norm)
    return norm.eval()


def test_a_frozen_norm_equals_torchvisions(batch_norm):
    ours, theirs = FrozenBatchNorm2d(6), torchvision.ops.FrozenBatchNorm2d(6)
    state = batch_norm.state_dict()
    del state["num_batches_tracked"]
    ours.load_state_dict(state)
    theirs.load_state_dict(state)
    x = torch.randn(2, 6, 5, 4)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours(x), batch_norm(x))


def test_a_frozen_norm_has_nothing_to_train_and_does_not_move():
    norm = FrozenBatchNorm2d(3).train()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    norm(torch.randn(4, 3, 5, 5) * 7 + 2)
    assert list(norm.parameters()) == []
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_an_unset_frozen_norm_changes_almost_nothing():
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(FrozenBatchNorm2d(3)(x), x / (1 + 1e-5) ** 0.5)


def test_scale_and_shift_by_hand():
    norm = FrozenBatchNorm2d(2, eps=0.0)
    norm.weight.copy_(torch.tensor([3.0, 1.0]))
    norm.bias.copy_(torch.tensor([1.0, 0.0]))
    norm.running_mean.copy_(torch.tensor([5.0, -2.0]))
    norm.running_var.copy_(torch.tensor([4.0, 0.25]))
    scale, shift = scale_and_shift(norm)
    assert scale.tolist() == [1.5, 2.0]
    assert shift.tolist() == [1 - 5 * 1.5, 2 * 2.0]


def test_the_config_names_the_norm():
    assert isinstance(make_norm("freeze", 4), FrozenBatchNorm2d)
    assert isinstance(make_norm("bn", 4), nn.BatchNorm2d)
