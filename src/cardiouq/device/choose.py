"""Choice of the device and precision of training and prediction."""

import contextlib
import logging
import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from cardiouq.device.environment import (
    COMPILE_VARIABLE,
    check_device,
    processor,
    requested_device,
)
from cardiouq.device.gpus import acquire_gpu, has_gpus
from cardiouq.errors import CardiouqError

log = logging.getLogger(__name__)

STEPS_TO_COMPILE = 4000
"""Steps after which compilation has paid for itself on a GPU, with a margin."""


def choose_device() -> torch.device:
    """Choose the device that the environment names; `auto` is a GPU if there is one, else the CPU.

    A GPU is locked first, before anything asks CUDA, which then sees no other.

    Raises:
        CardiouqError: if a GPU is asked for, and PyTorch, the machine or its driver has none.
    """
    wanted = requested_device()
    check_device(wanted)
    if wanted == "cpu":
        return torch.device("cpu")
    is_built = torch.backends.cuda.is_built()  # type: ignore[no-untyped-call]
    locked = acquire_gpu() if is_built else None
    if wanted == "auto" and not (is_built and torch.cuda.is_available()):
        if locked is not None:
            locked.release()
        if has_gpus():
            text = (
                "on the CPU, as PyTorch %s cannot use the GPU that is here: https://pytorch.org "
                "has builds for the driver that `nvidia-smi` names; device=cpu asks for the CPU"
            )
            log.warning(text, torch.__version__)
        return torch.device("cpu")
    if locked is None:
        raise CardiouqError(
            "no GPU to claim: `nvidia-smi -L` and CUDA_VISIBLE_DEVICES name none; set "
            "CUDA_VISIBLE_DEVICES to the devices to use, as in 0,1, or run with --config device=cpu"
        )
    try:
        _start_cuda()
    except RuntimeError as error:
        raise CardiouqError(
            f"device: {wanted}, but CUDA does not start on GPU {locked.gpu}: {error}; compare the "
            f"driver and the GPU that `nvidia-smi` names with CUDA {torch.version.cuda} and "
            f"{torch.cuda.get_arch_list()}, which PyTorch is built for, or run with --config "
            "device=cpu"
        ) from error
    if torch.cuda.device_count() != 1:
        raise RuntimeError("CUDA was started before a GPU was claimed, and sees others too")
    return torch.device("cuda")


def _start_cuda() -> None:
    """Start CUDA, and have it compute, as PyTorch may be built for newer GPUs alone."""
    torch.cuda.init()  # type: ignore[no-untyped-call]
    torch.ones(1, device="cuda").add_(1)


def device_name(device: torch.device) -> str:
    """Name of a device: `cuda, ` or `cpu, ` and the model."""
    cuda = device.type == "cuda"
    return f"{device.type}, {torch.cuda.get_device_name(device) if cuda else processor()}"


def has_bf16(device: torch.device) -> bool:
    """Tell whether the hardware has bf16.

    oneDNN calls bf16 supported on any AVX-512 processor and emulates it, which takes twice the time
    of float32; only the processor's own instructions count here.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


def precision(device: torch.device) -> str:
    """The precision in which networks are trained and predict: `bfloat16` or `float32`."""
    return "bfloat16" if has_bf16(device) else "float32"


def in_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Context of bf16 autocast where the hardware has it, of full precision otherwise."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device))


def pays_to_compile(steps: int, device: torch.device) -> bool:
    """Whether a training of so many steps is to be compiled, by the local config's `compile`.

    By `auto` none is on a CPU, where a compiled iteration takes as long, and with dropout three
    times as long, as its masks are drawn element by element (`benchmarks/training.py`).
    """
    wanted = os.environ.get(COMPILE_VARIABLE, "auto")
    pays = device.type != "cpu" and steps >= STEPS_TO_COMPILE
    return wanted == "always" or (wanted == "auto" and pays and _can_compile(device))


def _can_compile(device: torch.device) -> bool:
    """Whether there is what PyTorch compiles with for a GPU: Triton, and what that is built by."""
    compilers = [os.environ["CC"]] if "CC" in os.environ else ["gcc", "clang"]
    return (
        find_spec("triton") is not None
        and torch.cuda.get_device_capability(device) >= (7, 0)
        and any(map(shutil.which, compilers))
        and Path(sysconfig.get_path("include"), "Python.h").is_file()
    )


def make_deterministic() -> None:
    """Have the same seed give the same numbers on the same machine, in full precision but for
    `in_precision`; what cannot do so is an error, in users' own methods too."""
    # read when cuBLAS and the compiler are first used
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")
    # what `use_deterministic_algorithms` does, which imports the compiler, for a second, to tell it
    torch.set_deterministic_debug_mode("error")
    if compiler := sys.modules.get("torch._inductor.config"):
        compiler.deterministic = True  # type: ignore[attr-defined]
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def has_room(device: torch.device, needed: int) -> bool:
    """Whether so many bytes of data leave half of a device's free memory to the training."""
    return device.type == "cpu" or needed < torch.cuda.mem_get_info(device)[0] / 2


def sent_to(device: torch.device, tensor: Tensor) -> Tensor:
    """The tensor on a device, which it reaches while the host goes on."""
    if device.type == tensor.device.type:
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)
