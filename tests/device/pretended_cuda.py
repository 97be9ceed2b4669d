"""A pretended GPU: tensors that say cuda:0 and are computed on the CPU.

What a real GPU would refuse is refused: mixing devices, a generator of the wrong device, NumPy's
arrays and, where deterministic algorithms are asked for, operations that have none. Noted is where
the program would wait for the GPU. Kernels, memory and time are a real GPU's to show.

To PyTorch's C++ a pretended tensor is on the device "meta", which is not the CPU either, and needs
no driver. So what C++ makes beside a tensor comes here as "meta", and what is made on the CPU does
not.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import currentframe
from pathlib import Path
from traceback import walk_stack
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map, tree_map_only

import cardiouq

GPU = torch.device("cuda:0")
STAND_IN = torch.device("meta")
PACKAGE, HERE = Path(cardiouq.__file__).parent, Path(__file__)

MEMORY = 2**37
"""Bytes that the pretended GPU has, all free."""
COPIES = {"copy_", "_to_copy"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
WAITS = {
    "_local_scalar_dense": "a value is asked for",
    **dict.fromkeys(("equal", "allclose"), "tensors are compared"),
    **dict.fromkeys(("nonzero", "masked_select"), "a size depends on values"),
    **dict.fromkeys(("_unique2", "bincount", "repeat_interleave"), "a size depends on values"),
    "_linalg_check_errors": "a decomposition is checked",
}
"""Operations whose result the host has to know before it goes on."""
NONDETERMINISTIC = {
    "nll_loss2d_forward",
    *(f"upsample_{kind}_backward" for kind in ("linear1d", "bilinear2d", "bicubic2d")),
    *(f"{name}_backward" for name in ("upsample_trilinear3d", "_upsample_bilinear2d_aa")),
    *(f"grid_sampler_{dimensions}d_backward" for dimensions in (2, 3)),
    *(f"reflection_pad{dimensions}d_backward" for dimensions in (1, 2, 3)),
    *("_adaptive_avg_pool2d_backward", "adaptive_max_pool2d_backward", "max_unpool2d", "histc"),
}
"""Operations on images of which CUDA has no deterministic kernel, from the documentation of
`torch.use_deterministic_algorithms`."""
IN_LOWER_PRECISION = {
    *(functional.conv2d, functional.conv_transpose2d, functional.linear),
    *(torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.mm, torch.bmm, torch.einsum),
}
IN_FULL_PRECISION = {
    *(functional.group_norm, functional.layer_norm, functional.cross_entropy, functional.softplus),
    *(functional.softmax, torch.softmax, Tensor.softmax, functional.log_softmax, torch.log_softmax),
    *(Tensor.log_softmax, torch.exp, Tensor.exp, torch.log, Tensor.log, torch.sum, Tensor.sum),
}
"""Of the lists in PyTorch's documentation of autocast on CUDA, what networks here may call."""


@dataclass
class Notes:
    """What happened on the pretended GPU: (what, line of the code that asked for it) -> how often.

    Attributes:
        waits: for which the program would wait until the GPU has done all that it was given.
        nondeterministic: that may come out otherwise when it is done again.
    """

    waits: Counter[tuple[str, str]] = field(default_factory=Counter)
    nondeterministic: Counter[tuple[str, str]] = field(default_factory=Counter)


@contextmanager
def pretended_cuda(bf16: bool = True) -> Iterator[Notes]:
    """Let this machine have a GPU, with or without bf16, until the end of the block."""
    notes = Notes()
    with pytest.MonkeyPatch.context() as patch, Functions(notes) as functions:
        patch.setattr(torch, "Generator", Generator)
        for module in (torch, torch.amp):
            patch.setattr(module, "autocast", functions.autocast)
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)
        patch.setattr(torch.cuda, "get_device_name", lambda *_: "Pretended")
        patch.setattr(torch.cuda, "mem_get_info", lambda *_: (MEMORY, MEMORY))
        patch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
        # else `Module.to` would change parameters under the tensors' hands
        patch.setattr(torch.__future__, "_overwrite_module_params_on_conversion", True)
        with Operations(notes):
            yield notes


class PretendedTensor(Tensor):
    """A tensor on the pretended GPU; its values are a tensor on the CPU."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> "PretendedTensor":
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=STAND_IN,
        )
        tensor.values = values
        return tensor

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __repr__(self, **_: Any) -> str:
        return f"PretendedTensor({self.values})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any) -> Any:
        raise RuntimeError(f"{func}: a tensor of a pretended GPU after its end")


class Generator(torch.Generator):
    """A generator on the CPU that may say it is the GPU's."""

    def __new__(cls, device: torch.device | str = "cpu") -> "Generator":
        return super().__new__(cls)

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.said = torch.device(device)

    device = property(lambda self: self.said)


class Functions(TorchFunctionMode):
    """What Python asks of PyTorch: CUDA becomes the stand-in, and autocast does as on CUDA."""

    lower: torch.dtype | None = None
    """The precision of autocast; None: none."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self.notes = notes

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is torch.device:
            return func(*args, **kwargs or {})
        args = [_stand_in(value) for value in args]
        kwargs = {key: _stand_in(value) for key, value in (kwargs or {}).items()}
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") == STAND_IN:
            return func(*args, **kwargs | {"device": "cpu"}).to(STAND_IN)
        if func is Tensor.__setitem__ and _copies_a_number(*args):
            self.notes.waits["a copy to the GPU", line_of_code()] += 1
        if generator := kwargs.get("generator"):
            is_there = any(isinstance(value, PretendedTensor) for value in args)
            _refuse_generator(generator, is_there or kwargs.get("device") == STAND_IN)
        wanted = self.lower if func in IN_LOWER_PRECISION else torch.float32
        if self.lower and func in IN_LOWER_PRECISION | IN_FULL_PRECISION:
            args, kwargs = tree_map_only(
                PretendedTensor,
                lambda tensor: tensor.to(wanted) if tensor.is_floating_point() else tensor,
                (args, kwargs),
            )
        return func(*args, **kwargs)

    @contextmanager
    def autocast(
        self, device_type: str, dtype: torch.dtype = torch.float16, enabled: bool = True
    ) -> Iterator[None]:
        """Takes the place of `torch.autocast`."""
        before, self.lower = self.lower, dtype if enabled and device_type == GPU.type else None
        try:
            yield
        finally:
            self.lower = before


class Operations(TorchDispatchMode):
    """What PyTorch would launch: on the GPU if a tensor is there or the result is to be."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self.notes = notes

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else PyTorch imports its compiler, for seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._can_decompose():  # as PyTorch has done already, but in inference mode
            with self:
                return func.decompose(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        from_gpu = any(isinstance(tensor, PretendedTensor) for tensor in tensors)
        device = kwargs.get("device")
        to_gpu = from_gpu if device is None else _stand_in(device) == STAND_IN
        if name in COPIES:
            self._note_copy(name, args, kwargs, to_gpu)
        elif from_gpu:
            _refuse_strangers(name, args, tensors)
            self._note(name, args)
        if device is not None:
            kwargs = kwargs | {"device": "cpu"}
        result = func(*tree_map(_values, args), **tree_map(_values, kwargs))
        return _wrapped(result, tensors) if to_gpu else result

    def _note(self, name: str, args: Sequence[Any]) -> None:
        if name in WAITS:
            self.notes.waits[WAITS[name], line_of_code()] += 1
        for index in _indices(name, args):
            if not isinstance(index, PretendedTensor):
                self.notes.waits["an index is copied to the GPU", line_of_code()] += 1
            if index.dtype in (torch.bool, torch.uint8):
                self.notes.waits["a size depends on a mask", line_of_code()] += 1
        if name in NONDETERMINISTIC:
            if torch.are_deterministic_algorithms_enabled():
                raise RuntimeError(f"{name} does not have a deterministic implementation")
            self.notes.nondeterministic[name, line_of_code()] += 1

    def _note_copy(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], to_gpu: bool
    ) -> None:
        to_gpu = isinstance(args[0], PretendedTensor) if name == "copy_" else to_gpu
        from_gpu = isinstance(args[name == "copy_"], PretendedTensor)
        non_blocking = kwargs.get("non_blocking") or args[2:] == (True,)
        if to_gpu != from_gpu and not non_blocking:
            what = f"a copy to the {'GPU' if to_gpu else 'CPU'}"
            self.notes.waits[what, line_of_code()] += 1


def _stand_in(value: Any) -> Any:
    """The stand-in for what means CUDA, everything else itself."""
    is_cuda = (isinstance(value, torch.device) and value.type == GPU.type) or (
        isinstance(value, str) and value.startswith(GPU.type)
    )
    return STAND_IN if is_cuda else value


def _values(value: Any) -> Any:
    return value.values if isinstance(value, PretendedTensor) else value


def _wrapped(result: Any, inputs: Sequence[Tensor]) -> Any:
    """An operation's result on the GPU; an input that it changes and returns is still the same."""
    known = {id(_values(tensor)): tensor for tensor in inputs}

    def wrapped(tensor: Tensor) -> Tensor:
        return known[id(tensor)] if id(tensor) in known else PretendedTensor(tensor)

    return tree_map_only(Tensor, wrapped, result)


def _indices(name: str, args: Sequence[Any]) -> list[Tensor]:
    """The tensors by which an operation indexes another."""
    return [index for index in args[1] if index is not None] if name in INDEXING else []


def _copies_a_number(tensor: Tensor, index: Any, value: Any) -> bool:
    """Whether a number is set where one value stands: it is copied to the GPU as a tensor, while a
    slice is filled with it."""
    places = index if isinstance(index, tuple) else (index,)
    is_one = len(places) == tensor.dim() and all(isinstance(place, int) for place in places)
    return isinstance(tensor, PretendedTensor) and is_one and isinstance(value, int | float)


def _refuse_strangers(name: str, args: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    """Raise as CUDA does if a tensor of an operation on the GPU is on the CPU.

    Numbers may be, if they are only read, and indices.
    """
    changed = args[0] if name.endswith("_") else None
    reads_numbers = name not in ("cat", "stack") and not name.startswith("_fused")
    for tensor in tensors:
        may_be = tensor.dim() == 0 and tensor is not changed and reads_numbers
        may_be |= any(tensor is index for index in _indices(name, args))
        if not (isinstance(tensor, PretendedTensor) or may_be):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"cuda:0 and {tensor.device}: {name} with one {tuple(tensor.shape)}"
            )


def _refuse_generator(generator: torch.Generator, on_gpu: bool) -> None:
    """Raise as CUDA does if a generator is not of the device that it draws for."""
    if (generator.device.type == GPU.type) != on_gpu:
        wanted = GPU.type if on_gpu else "cpu"
        raise RuntimeError(
            f"Expected a '{wanted}' device type for generator but found '{generator.device.type}'"
        )


def line_of_code() -> str:
    """`<file>:<line>` of the package that is running, or else of a test beside this file."""
    for frame, line in walk_stack(currentframe()):  # None would leave out the nearest ones
        file = Path(frame.f_code.co_filename)
        for folder in (PACKAGE, HERE.parent):
            if file.is_relative_to(folder) and file != HERE:
                return f"{file.relative_to(folder)}:{line}"
    return "?"
