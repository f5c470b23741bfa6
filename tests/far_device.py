"""A device beside the CPU, for machines that have no other: what lies on it is kept apart.

Tensors on it say that their device is "meta", which PyTorch accepts without any hardware, but hold
values, in a tensor on the CPU. An operator that is given tensors of both devices fails, as it would
on a GPU, but for numbers and for indices, which may lie on the CPU.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

FAR = torch.device("meta")

_torch_autocast = torch.autocast

COPYING = ("aten::_to_copy", "aten::copy_")
INDEXING = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
# These take no number from the CPU as one of their tensors.
STRICT = ("aten::cat", "aten::stack", "aten::gather", "aten::scatter", "aten::index_select")


class FarTensor(Tensor):
    """A tensor on the far device; ``near`` holds its values."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> "FarTensor":
        layout: dict[str, Any] = {
            "strides": near.stride(),
            "storage_offset": near.storage_offset(),
            "dtype": near.dtype,
            "device": FAR,
        }
        far: FarTensor = Tensor._make_wrapper_subclass(cls, near.size(), **layout)
        far.near = near
        return far

    def tolist(self) -> Any:
        return self.near.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


@contextmanager
def far_device() -> Iterator[None]:
    """Let ``torch.device("meta")`` be the far device, and not one without values."""
    with _Operators(), _Constants(), mock.patch("torch.autocast", _autocast):
        yield


def _autocast(device_type: str, *args: Any, **kwargs: Any) -> AbstractContextManager[Any]:
    """Let the far device, for which PyTorch has no autocast, do without."""
    return nullcontext() if _is_far(device_type) else _torch_autocast(device_type, *args, **kwargs)


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Constants(TorchFunctionMode):
    """Makes tensors from numbers, which PyTorch would do on "meta" without looking at them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.new_tensor and isinstance(args[0], FarTensor):
            kwargs.setdefault("dtype", args[0].dtype)
            return torch.tensor(*args[1:], **kwargs).to(FAR)
        if func is Tensor.__getitem__ and isinstance(args[0], FarTensor):
            return func(args[0], tree_map(_as_tensor, args[1], is_leaf=_is_list))
        numbers = func in (torch.tensor, torch.as_tensor) and not isinstance(args[0], Tensor)
        if numbers and _is_far(kwargs.get("device")):
            return func(*args, **{**kwargs, "device": "cpu"}).to(FAR)
        return func(*args, **kwargs)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operator on the values, and return what it gives on the device where that belongs."""
    name, wanted = func._schema.name, kwargs.get("device")
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    far = any(isinstance(tensor, FarTensor) for tensor in tensors)
    assert all(t.device != FAR or isinstance(t, FarTensor) for t in tensors), "one without values"
    if name not in COPYING and _mixes(name, args, tensors):
        raise AssertionError(f"{func} has tensors of both devices")
    result_is_far = _is_far(wanted) if wanted is not None else far
    if name == "aten::copy_":
        result_is_far = isinstance(args[0], FarTensor)
    if _is_far(wanted):
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result = func(*tree_map(_near, args), **tree_map(_near, kwargs))
    if not result_is_far:
        return args[0] if name == "aten::copy_" else result
    result = tree_map(lambda r: FarTensor(r) if isinstance(r, Tensor) else r, result)
    return return_and_correct_aliasing(func, args, kwargs, result) if far else result


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _as_tensor(value: Any) -> Any:
    return torch.tensor(value) if _is_list(value) else value


def _mixes(name: str, args: Any, tensors: list[Tensor]) -> bool:
    """Whether a GPU would refuse the ``tensors``, which are those among ``args`` and others."""
    first_is_far = isinstance(tensors[0], FarTensor) if tensors else False
    if name in INDEXING:
        # Indices may lie on the CPU; what is put there may not, but for a number.
        tensors = [args[0], *args[2:3]] if first_is_far else tensors
    near = [t for t in tensors if not isinstance(t, FarTensor)]
    if len(near) in (0, len(tensors)):
        return False
    in_place = name.endswith("_") and not first_is_far
    return in_place or name in STRICT or any(t.dim() > 0 for t in near)


def _is_far(device: Any) -> bool:
    return device is not None and torch.device(device) == FAR


def _near(value: Any) -> Any:
    return value.near if isinstance(value, FarTensor) else value
