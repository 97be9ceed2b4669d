"""Choice of the device and precision of training and prediction."""

import contextlib

import torch

from cardiouq.device.environment import check_device, processor, requested_device
from cardiouq.device.gpus import acquire_gpu
from cardiouq.errors import CardiouqError


def choose_device() -> torch.device:
    """Choose the device that the environment names; `auto` is a GPU if there is one, else the CPU.

    A GPU is locked first, before anything asks CUDA, which then sees no other.

    Raises:
        CardiouqError: if a GPU is asked for, and PyTorch, the machine or its driver has none.
    """
    wanted = requested_device()
    check_device(wanted)
    if wanted == "cpu" or not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        return torch.device("cpu")
    locked = acquire_gpu()
    if wanted == "auto" and not torch.cuda.is_available():
        if locked is not None:
            locked.release()
        return torch.device("cpu")
    if locked is None:
        raise CardiouqError(
            "no GPU to claim: `nvidia-smi -L` and CUDA_VISIBLE_DEVICES name none; set "
            "CUDA_VISIBLE_DEVICES to the devices to use, as in 0,1, or run with --config device=cpu"
        )
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise CardiouqError(
            f"device: {wanted}, but CUDA does not start on GPU {locked.gpu}: {error}; compare the "
            f"driver that `nvidia-smi` names with CUDA {torch.version.cuda}, which PyTorch is "
            "built for, or run with --config device=cpu"
        ) from error
    if torch.cuda.device_count() != 1:
        raise RuntimeError("CUDA was started before a GPU was claimed, and sees others too")
    return torch.device("cuda")


def device_name(device: torch.device) -> str:
    """Name of a device: `cuda, ` or `cpu, ` and the model."""
    cuda = device.type == "cuda"
    return f"{device.type}, {torch.cuda.get_device_name(device) if cuda else processor()}"


def trains_in_bf16(device: torch.device) -> bool:
    """Tell whether the hardware has bf16.

    oneDNN calls bf16 supported on any AVX-512 processor and emulates it, which takes twice the time
    of float32; only the processor's own instructions count here.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


def training_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Context of bf16 autocast where the hardware has it, of full precision otherwise."""
    return torch.autocast(device.type, torch.bfloat16, enabled=trains_in_bf16(device))


def make_deterministic() -> None:
    """Make cuDNN give the same numbers for the same seed on the same machine."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
