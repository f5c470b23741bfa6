"""A model with Pet's key names, small enough to look at."""

import torch
from torch import nn

from pet.solver.lr_scheduler import LearningRateScheduler, Schedule
from pet.solver.optimizer import make_optimizer, parameter_groups


class _BoxHead(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(4, classes)
        self.bbox_pred = nn.Linear(4, classes * 4)


class SmallModel(nn.Module):
    """A trunk with batch norm and a box head for ``classes`` classes with the background."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.Conv_Body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.Fast_RCNN = _BoxHead(classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.Conv_Body(x).mean((2, 3))
        return self.Fast_RCNN.cls_score(features).square().mean() + features.sum() * 0.01


def make_run(
    seed: int = 0, classes: int = 3, name: str = "SGD", base_lr: float = 0.1, decay: float = 0.01
) -> tuple[SmallModel, torch.optim.Optimizer, LearningRateScheduler]:
    """Return a model, its optimizer and its scheduler, at the start of a run."""
    torch.manual_seed(seed)
    model = SmallModel(classes)
    optimizer = make_optimizer(
        name,
        parameter_groups(
            model,
            weight_decay=decay,
            weight_decay_bias=0.0,
            weight_decay_norm=0.0,
            bias_lr_factor=2.0,
        ),
        base_lr,
    )
    scheduler = LearningRateScheduler(optimizer, Schedule(base_lr, 100, warm_up_iters=20))
    return model, optimizer, scheduler


def train_steps(
    model: SmallModel,
    optimizer: torch.optim.Optimizer,
    scheduler: LearningRateScheduler,
    count: int,
) -> None:
    """Take ``count`` steps; the batch depends on the iteration alone."""
    for _ in range(count):
        scheduler.step()
        optimizer.zero_grad()
        generator = torch.Generator().manual_seed(scheduler.iteration)
        model(torch.randn(2, 3, 4, 4, generator=generator)).backward()
        optimizer.step()


class Holds(nn.Module):
    """A model with the state dict that it is given."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.held = {key: torch.zeros(value.shape) for key, value in state.items()}

    def state_dict(self):
        return self.held
