"""Training, from image files to updated weights, beside torchvision."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD
from torch.utils.data import DataLoader

from pet.data.build import TrainLoader, make_train_data_loader
from pet.data.datasets import CocoDataset
from pet.engine.train import update
from pet.modeling.sampler import sample_balanced
from pet.solver.optimizer import build_optimizer
from pet.utils.autocast import autocast
from tools.benchmark.measure import Work
from tools.benchmark.peer_data import PeerCoco, PeerItem, PeerTarget, peer_collate
from tools.benchmark.setting import Setting, build_ours

# So small that both sides keep their weights, and go on doing the same work.
_LEARNING_RATE = 1e-6
_STEPS = 10**6  # longer than any benchmark
_SEED = 0  # of what is drawn where losses are compared
_EVERYTHING = 10**6  # a sample so large that nothing is left to chance
_READ_AHEAD = 2  # batches that a loader process reads ahead, PyTorch's default

#: How far a loss may be from torchvision's in float32 on a CPU, relative to it. Masks are resized
#: as polygons here and as pixels there, which shifts an edge by less than a pixel.
LIMITS = {"loss_mask": 0.03}
LIMIT = 0.002

#: ... and in bfloat16, or on a GPU, relative to the sum of all losses: roundings let other
#: proposals be the best, and torchvision takes the losses themselves in bfloat16.
ROUNDED_LIMIT = 0.01


@dataclass(frozen=True)
class LossDifference:
    """A loss of both sides on the same batch."""

    loss: str
    ours: float
    theirs: float
    limit: float  # how far they may be apart

    @property
    def is_too_far(self) -> bool:
        """Whether the difference is beyond the limit, or no number."""
        return not abs(self.ours - self.theirs) <= self.limit


@torch.no_grad()
def check(setting: Setting, precision: str = "float32") -> list[LossDifference]:
    """Return the losses of both sides on the first batch, of the same anchors and RoIs.

    These are all RoIs, but as many anchors as in training, since Pet computes few of them in
    another way than all. In bfloat16 they are all anchors: torchvision's are rounded to bfloat16
    there, and so are others than Pet's.
    """
    alike: list[Any] = ["FAST_RCNN.BATCH_SIZE_PER_IMAGE", _EVERYTHING, "TRAIN.FLIP_PROB", 0.0]
    if precision != "float32":
        alike += ["RPN.BATCH_SIZE_PER_IMAGE", _EVERYTHING]
    setting = replace(setting, opts=(*setting.opts, *map(str, alike)), workers=0)
    peer, device, data = setting.peer(), setting.device(), setting.dataset()
    model, loader = build_ours(setting, peer), our_loader(setting, data)
    images, targets, _ = next(iter(loader))
    their_batch = _on_device(next(iter(peer_loader(setting, peer_data(setting), loader))), device)
    peer.rpn.fg_bg_sampler = _DrawnAsHere(peer.rpn.fg_bg_sampler)
    torch.manual_seed(_SEED)
    with autocast(device, precision):
        losses = model(images.to(device), [target.to(device) for target in targets])["losses"]
        wanted = peer(*their_batch)
    theirs = {name: float(value) for name, value in wanted.items()}
    if precision == "float32" and device.type == "cpu":
        limits = {name: LIMITS.get(name, LIMIT) * value for name, value in theirs.items()}
    else:
        limits = dict.fromkeys(theirs, ROUNDED_LIMIT * sum(theirs.values()))
    return [
        LossDifference(name, float(losses[name]), value, limits[name])
        for name, value in theirs.items()
    ]


class _DrawnAsHere:
    """Lets torchvision draw anchors as Pet does, which begins with the seed ``_SEED``."""

    def __init__(self, sampler: Any) -> None:
        """``sampler`` is torchvision's own, which says how many."""
        self._count, self._fraction = sampler.batch_size_per_image, sampler.positive_fraction

    def __call__(self, labels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return of each image's ``labels`` (A,) which are drawn, (A,) uint8: 1s, and 0s."""
        torch.manual_seed(_SEED)
        foreground, background = [], []
        for of_image in labels:
            index, num_foreground, num_chosen = sample_balanced(
                of_image.long(), self._count, self._fraction
            )
            foreground.append(_mask(index[:num_foreground], of_image))
            background.append(_mask(index[num_foreground:num_chosen], of_image))
        return foreground, background


def _mask(index: Tensor, like: Tensor) -> Tensor:
    return torch.zeros_like(like, dtype=torch.uint8).index_fill(0, index, 1)


def our_side(setting: Setting, precision: str, steps: int, compiled: bool = False) -> Work:
    """Return Pet's way of ``steps`` steps; ``compiled`` as ``SOLVER.COMPILE`` does it."""
    cfg, device = setting.cfg("SOLVER.BASE_LR", _LEARNING_RATE), setting.device()
    model, data = build_ours(setting, setting.peer()), setting.dataset()
    if compiled:
        model.compile_dense()
    optimizer = build_optimizer(model, cfg)

    def train(batches: Iterator[Any]) -> None:
        for images, targets, _ in islice(batches, steps):
            update(
                model,
                images.to(device, non_blocking=True),
                [target.to(device, non_blocking=True) for target in targets],
                optimizer,
                precision=precision,
            )

    return lambda: partial(train, flowing(setting, our_loader(setting, data)))


def peer_side(setting: Setting, precision: str, steps: int) -> Work:
    """Return torchvision's way of ``steps`` steps, on the same images.

    Its scripts let go of the gradients only after the forward pass; here it is before, in favour of
    its memory.
    """
    peer, device = setting.peer(), setting.device()
    parameters = [parameter for parameter in peer.parameters() if parameter.requires_grad]
    optimizer = SGD(parameters, _LEARNING_RATE, momentum=0.9, weight_decay=1e-4)
    ours, data = our_loader(setting, setting.dataset()), peer_data(setting)

    def train(batches: Iterator[Any]) -> None:
        for batch in islice(batches, steps):
            images, targets = _on_device(batch, device)
            optimizer.zero_grad()
            with autocast(device, precision):
                loss = sum(peer(images, targets).values())
            loss.backward()
            optimizer.step()

    return lambda: partial(train, flowing(setting, peer_loader(setting, data, ours)))


def flowing(setting: Setting, loader: DataLoader[Any]) -> Iterator[Any]:
    """Return the batches of ``loader`` once its processes are at work, and what they read ahead
    at first is used up.
    """
    batches = iter(loader)
    for _ in range(_READ_AHEAD * setting.workers):
        next(batches)
    return batches


def our_loader(setting: Setting, data: CocoDataset) -> TrainLoader:
    """Return Pet's loader of ``data``, without end."""
    return make_train_data_loader(data, cfg=setting.cfg("SOLVER.MAX_ITER", _STEPS))


def peer_data(setting: Setting) -> PeerCoco:
    """Return the images of ``setting`` as torchvision reads them."""
    cfg = setting.cfg()
    return PeerCoco(setting.dataset(), cfg.TRAIN.FLIP_PROB, cfg.MODEL.MASK_ON)


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
    data: PeerCoco,
    ours: TrainLoader,
    collate: Callable[[Sequence[PeerItem]], Any] = peer_collate,
) -> DataLoader[Any]:
    """Return torchvision's loader of ``data``, in the batches of ``ours``."""
    return DataLoader(
        data,
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
