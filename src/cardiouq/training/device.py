"""Where training and prediction run, and in which precision."""

import contextlib
import os

import torch

from cardiouq.machine import DEVICE_VARIABLE


def choose_device() -> torch.device:
    """The device that the environment names; `auto` is a GPU if there is one, else the CPU."""
    wanted = os.environ.get(DEVICE_VARIABLE, "auto")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def trains_in_bf16(device: torch.device) -> bool:
    """Whether the hardware has bf16.

    oneDNN calls bf16 supported on any AVX-512 processor and emulates it, which takes twice the time
    of float32; only the processor's own instructions count here.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


def training_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """bf16 autocast where the hardware has it, full precision otherwise."""
    return torch.autocast(device.type, torch.bfloat16, enabled=trains_in_bf16(device))


def make_deterministic() -> None:
    """The same numbers for the same seed on the same machine."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
