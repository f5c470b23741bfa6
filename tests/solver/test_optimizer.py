"""Parameter groups and optimizers."""

import pytest
import torch
from torch import nn

from pet.solver.optimizer import build_optimizer, make_optimizer, parameter_groups


def model_of_every_kind() -> nn.Module:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1),  # 0: weight, bias
        nn.BatchNorm2d(4),  # 1: norm
        nn.Conv2d(4, 4, 1, bias=False),  # 2: weight
        nn.GroupNorm(2, 4),  # 3: norm
        nn.LayerNorm(4),  # 4: norm
        nn.Linear(4, 2),  # 5: frozen weight, bias
    )
    model[5].weight.requires_grad_(False)
    return model


def test_groups_by_kind():
    model = model_of_every_kind()
    weights, biases, norms = parameter_groups(
        model, weight_decay=0.1, weight_decay_bias=0.2, weight_decay_norm=0.3, bias_lr_factor=2.0
    )

    def same(group, expected):
        return [id(p) for p in group["params"]] == [id(p) for p in expected]

    assert same(weights, [model[0].weight, model[2].weight])
    assert same(biases, [model[0].bias, model[5].bias])
    norm_members = [p for i in (1, 3, 4) for p in (model[i].weight, model[i].bias)]
    assert same(norms, norm_members)
    assert [group["weight_decay"] for group in (weights, biases, norms)] == [0.1, 0.2, 0.3]
    assert [group["lr_factor"] for group in (weights, biases, norms)] == [1.0, 2.0, 1.0]


def test_a_shared_parameter_comes_once():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    groups = parameter_groups(
        nn.ModuleList([first, second, first]),
        weight_decay=0.0,
        weight_decay_bias=0.0,
        weight_decay_norm=0.0,
    )
    assert [len(group["params"]) for group in groups] == [1, 2]


def test_nothing_trainable():
    model = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(ValueError, match=r"no trainable parameter.*BACKBONE\.FREEZE_AT"):
        parameter_groups(model, weight_decay=0.0, weight_decay_bias=0.0, weight_decay_norm=0.0)


def test_build_from_config(fresh_cfg):
    solver = fresh_cfg.SOLVER
    solver.BASE_LR, solver.MOMENTUM, solver.WEIGHT_DECAY = 0.04, 0.8, 0.5
    solver.WEIGHT_DECAY_BIAS, solver.WEIGHT_DECAY_NORM, solver.BIAS_LR_FACTOR = 0.25, 0.0, 2.0
    optimizer = build_optimizer(model_of_every_kind(), fresh_cfg)
    assert type(optimizer) is torch.optim.SGD
    options = [(g["lr"], g["weight_decay"], g["momentum"]) for g in optimizer.param_groups]
    assert options == [(0.04, 0.5, 0.8), (0.08, 0.25, 0.8), (0.04, 0.0, 0.8)]

    solver.OPTIMIZER = "ADAMW"
    assert type(build_optimizer(model_of_every_kind(), fresh_cfg)) is torch.optim.AdamW


def test_one_sgd_step_by_hand():
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 1.0)
    groups = parameter_groups(
        model, weight_decay=0.5, weight_decay_bias=0.0, weight_decay_norm=0.0, bias_lr_factor=2.0
    )
    optimizer = make_optimizer("SGD", groups, base_lr=0.1, momentum=0.9)
    model(torch.tensor([[3.0]])).sum().backward()  # gradients: weight 3, bias 1
    optimizer.step()
    assert model.weight.item() == pytest.approx(2.0 - 0.1 * (3.0 + 0.5 * 2.0))
    assert model.bias.item() == pytest.approx(1.0 - 0.2 * 1.0)


def test_unknown_optimizer():
    groups = parameter_groups(
        nn.Linear(1, 1), weight_decay=0.0, weight_decay_bias=0.0, weight_decay_norm=0.0
    )
    with pytest.raises(ValueError, match=r"'LION' \(SOLVER\.OPTIMIZER\); choose from SGD, ADAMW"):
        make_optimizer("LION", groups, 0.1)
