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
    assert isinstance(make_norm("syncbn", 4), nn.SyncBatchNorm)
    assert isinstance(make_norm("gn", 64), nn.GroupNorm)
    with pytest.raises(ValueError, match="no norm named 'ln'; choose from freeze, bn, syncbn, gn"):
        make_norm("ln", 4)


@pytest.mark.parametrize("kind", ["freeze", "bn", "syncbn", "gn"])
def test_eps_is_that_of_the_norm(kind):
    assert make_norm(kind, 32, 0.25).eps == 0.25


def test_group_norm_normalises_each_image_by_32_groups():
    norm = make_norm("gn", 64)
    x = torch.randn(2, 64, 5, 4) * 3 + 1
    groups = norm(x).reshape(2, 32, -1)
    torch.testing.assert_close(groups.mean(2), torch.zeros(2, 32), atol=1e-5, rtol=0)
    torch.testing.assert_close(groups.var(2, unbiased=False), torch.ones(2, 32), atol=1e-4, rtol=0)


def test_channels_that_make_no_groups():
    with pytest.raises(ValueError, match=r'\("gn"\) has 32 groups, which 48 channels do not make'):
        make_norm("gn", 48)


def test_a_synchronised_norm_in_one_process_is_a_batch_norm():
    theirs, ours = nn.BatchNorm2d(6), make_norm("syncbn", 6)
    randomise_norms(theirs)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(4, 6, 5, 5) * 2 + 1
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
