"""Optimizers, and the parameter groups for training detection models."""

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import SGD, AdamW, Optimizer

from pet.config import CfgNode, cfg
from pet.solver.schedule import base_lr

_NORM_TYPES = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


def build_optimizer(model: nn.Module, cfg: CfgNode = cfg) -> Optimizer:
    """Return the optimizer that SOLVER describes for the trainable parameters of ``model``.

    Raises ValueError if the model has no trainable parameter.
    """
    solver = cfg.SOLVER
    groups = parameter_groups(
        model,
        weight_decay=solver.WEIGHT_DECAY,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
    )
    return make_optimizer(solver.OPTIMIZER, groups, base_lr(cfg), solver.MOMENTUM)


def make_optimizer(
    name: str, groups: list[dict[str, Any]], base_lr: float, momentum: float = 0.9
) -> Optimizer:
    """Return the optimizer ``name``, "SGD" or "ADAMW", on ``groups`` of ``parameter_groups``.

    A group starts at ``base_lr`` times its ``lr_factor``. ADAMW ignores ``momentum``.
    """
    for group in groups:
        group["lr"] = base_lr * group["lr_factor"]
    if name == "SGD":
        return SGD(groups, lr=base_lr, momentum=momentum, fused=True)
    if name == "ADAMW":
        return AdamW(groups, lr=base_lr, fused=True)
    raise ValueError(f"no optimizer named {name!r} (SOLVER.OPTIMIZER); choose from SGD, ADAMW")


def parameter_groups(
    model: nn.Module,
    *,
    weight_decay: float,
    weight_decay_bias: float,
    weight_decay_norm: float,
    bias_lr_factor: float = 1.0,
) -> list[dict[str, Any]]:
    """Return the trainable parameters in groups: weights, biases, parameters of norms.

    Every group has a ``weight_decay`` and an ``lr_factor``, the learning rate relative to the base
    rate. A parameter that several modules share is listed once. Empty groups are left out. Raises
    ValueError if no parameter is trainable.
    """
    members: dict[str, list[nn.Parameter]] = {"weight": [], "bias": [], "norm": []}
    for kind, parameter in _kinds(model):
        members[kind].append(parameter)
    if not any(members.values()):
        raise ValueError(
            "the model has no trainable parameter, so there is nothing to optimise; lower "
            "BACKBONE.FREEZE_AT, or set requires_grad of the parameters to train"
        )
    options = {
        "weight": {"weight_decay": weight_decay, "lr_factor": 1.0},
        "bias": {"weight_decay": weight_decay_bias, "lr_factor": bias_lr_factor},
        "norm": {"weight_decay": weight_decay_norm, "lr_factor": 1.0},
    }
    return [{"params": params, **options[kind]} for kind, params in members.items() if params]


def _kinds(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield every trainable parameter once, with its kind: "weight", "bias" or "norm"."""
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            if isinstance(module, _NORM_TYPES):
                yield "norm", parameter
            else:
                yield "bias" if name.endswith("bias") else "weight", parameter
