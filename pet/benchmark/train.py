"""Training, from image files to updated weights, beside torchvision."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD
from torch.utils.data import DataLoader

from pet.benchmark.measure import Work
from pet.benchmark.peer_data import PeerCoco, PeerItem, PeerTarget, peer_collate
from pet.benchmark.setting import Setting, build_ours
from pet.data.build import TrainLoader, make_train_data_loader
from pet.engine.train import update
from pet.solver.optimizer import build_optimizer
from pet.utils.precision import autocast

# So small that both sides keep their weights, and go on doing the same work.
_LEARNING_RATE = 1e-6
_STEPS = 10**6  # longer than any benchmark
_EVERYTHING = 10**6  # a sample so large that nothing is left to chance

#: How far a loss may be from torchvision's, relative. Masks are resized as polygons here and as
#: pixels there, which shifts an edge by less than a pixel.
LIMITS = {"loss_mask": 0.03}
LIMIT = 0.002


@dataclass(frozen=True)
class LossDifference:
    """A loss of both sides on the same batch."""

    loss: str
    ours: float
    theirs: float

    @property
    def relative(self) -> float:
        """The difference, of torchvision's value."""
        return abs(self.ours - self.theirs) / max(abs(self.theirs), 1e-12)

    @property
    def is_too_far(self) -> bool:
        """Whether the difference is beyond the limit."""
        return self.relative > LIMITS.get(self.loss, LIMIT)


@torch.no_grad()
def check(setting: Setting) -> list[LossDifference]:
    """Return the losses of both sides in float32 on the first batch, with nothing drawn."""
    everything = (
        *("RPN.BATCH_SIZE_PER_IMAGE", _EVERYTHING, "FAST_RCNN.BATCH_SIZE_PER_IMAGE", _EVERYTHING),
        *("TRAIN.FLIP_PROB", 0.0),
    )
    peer, device = setting.peer(), setting.device()
    for sampler in (peer.rpn.fg_bg_sampler, peer.roi_heads.fg_bg_sampler):
        sampler.batch_size_per_image = _EVERYTHING
    model = build_ours(setting, peer, *everything)
    loader = our_loader(setting, *everything)
    images, targets, _ = next(iter(loader))
    losses = model(images.to(device), [target.to(device) for target in targets])["losses"]
    wanted = peer(*_on_device(next(iter(peer_loader(setting, loader, 0.0))), device))
    return [LossDifference(k, float(losses[k]), float(v)) for k, v in wanted.items()]


def our_side(setting: Setting, precision: str, steps: int) -> Work:
    """Return Pet's way of ``steps`` steps."""
    cfg, device = setting.cfg("SOLVER.BASE_LR", _LEARNING_RATE), setting.device()
    model = build_ours(setting, setting.peer())
    optimizer = build_optimizer(model, cfg)
    batches = iter(our_loader(setting))

    def work() -> None:
        for images, targets, _ in islice(batches, steps):
            update(
                model,
                images.to(device, non_blocking=True),
                [target.to(device, non_blocking=True) for target in targets],
                optimizer,
                precision=precision,
            )

    return work


def peer_side(setting: Setting, precision: str, steps: int) -> Work:
    """Return torchvision's way of ``steps`` steps, on the same images."""
    cfg, peer, device = setting.cfg(), setting.peer(), setting.device()
    parameters = [parameter for parameter in peer.parameters() if parameter.requires_grad]
    optimizer = SGD(parameters, _LEARNING_RATE, momentum=0.9, weight_decay=1e-4)
    loader = peer_loader(setting, our_loader(setting), cfg.TRAIN.FLIP_PROB)
    batches = iter(loader)

    def work() -> None:
        for batch in islice(batches, steps):
            images, targets = _on_device(batch, device)
            with autocast(device, precision):
                loss = sum(peer(images, targets).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return work


def our_loader(setting: Setting, *opts: Any) -> TrainLoader:
    """Return Pet's loader, without end; ``opts`` as ``Setting.cfg`` takes them."""
    cfg = setting.cfg("SOLVER.MAX_ITER", _STEPS, *opts)
    return make_train_data_loader(setting.dataset(), cfg=cfg)


class _SameBatches:
    """The indices of another loader's batches, in its order, without end."""

    def __init__(self, loader: TrainLoader) -> None:
        self._sampler = loader.batch_sampler

    def __iter__(self) -> Iterator[list[int]]:
        assert self._sampler is not None
        for keys in self._sampler:
            yield [index for index, _ in keys]


def peer_loader(
    setting: Setting,
    ours: TrainLoader,
    flip_prob: float,
    collate: Callable[[Sequence[PeerItem]], Any] = peer_collate,
) -> DataLoader[Any]:
    """Return torchvision's loader of the images of ``ours``, in the same batches."""
    return DataLoader(
        PeerCoco(setting.dataset(), flip_prob),
        batch_sampler=_SameBatches(ours),
        collate_fn=collate,
        num_workers=setting.workers,
    )


def _on_device(
    batch: tuple[Sequence[Tensor], Sequence[PeerTarget]], device: torch.device
) -> tuple[list[Tensor], list[PeerTarget]]:
    images, targets = batch
    return (
        [image.to(device) for image in images],
        [{key: value.to(device) for key, value in target.items()} for target in targets],
    )
