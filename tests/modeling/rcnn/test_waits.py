"""How often the CPU would have to wait for a GPU: known from the operators, without one."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pet.engine.train import update
from pet.modeling.build import build_model
from pet.solver.optimizer import build_optimizer
from tests.modeling.rcnn.small import box_targets, noise_images, small_cfg

# Their results have a size, or are a number, that the CPU must know.
WAITING = ("aten.nonzero", "aten._local_scalar_dense", "aten.masked_select", "torchvision.nms")


class Waits(TorchDispatchMode):
    """Counts the operators that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).removesuffix(".default")
        by_mask = name in ("aten.index.Tensor", "aten.index_put_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if name in WAITING or by_mask:
            self.count["index by a mask" if by_mask else name] += 1
        return func(*args, **(kwargs or {}))


def test_waits_are_found():
    x = torch.ones(3)
    with Waits() as waits:
        x.sum().item()
        x[x > 0]
        torch.nonzero(x)
        x[torch.tensor([0, 1])]
    assert waits.count == {"aten._local_scalar_dense": 1, "index by a mask": 1, "aten.nonzero": 1}


@pytest.mark.parametrize("images", [1, 2])
def test_a_training_step_waits_once_for_an_image_and_four_times_for_all(images, monkeypatch):
    copied, tolist = [], Tensor.tolist  # which is no operator
    monkeypatch.setattr(Tensor, "tolist", lambda x: copied.append(x.shape) or tolist(x))
    torch.manual_seed(0)
    cfg = small_cfg()
    model = build_model("cpu", cfg).train()
    targets = [box_targets([[8, 8, 40, 40], [20, 10, 90, 80]], [1, 2])] * images
    batch, optimizer = noise_images(*[(96, 128)] * images), build_optimizer(model, cfg)
    with Waits() as waits:
        update(model, batch, targets, optimizer)
    assert waits.count == {"torchvision.nms": images}
    # Valid proposals, RoIs (foreground and all), and the RoIs of the levels for boxes and masks.
    assert copied == [(images,), (images, 2), (4,), (4,)]
