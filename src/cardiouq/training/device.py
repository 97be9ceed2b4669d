"""Where training and prediction run, and in which precision."""

import contextlib

import torch


def choose_device(wanted: str) -> torch.device:
    """`auto` is the first GPU if there is one, else the CPU."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def training_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """bf16 autocast where the hardware has it, full precision otherwise."""
    if device.type == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=supported)


def make_deterministic() -> None:
    """The same numbers for the same seed on the same machine."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
