"""Dropout of a full-resolution stage of the laptop study, in training: ours beside PyTorch's.

The functions are contestants of `rounds.py`.
"""

from collections.abc import Callable

import torch
from torch import nn

from cardiouq.recipes.network import Dropout

TIMES = 10


def ours(precision: str) -> Callable[[], None]:
    """Masks of 16 bits an element."""
    return repeated(Dropout(0.1), precision)


def pytorch(precision: str) -> Callable[[], None]:
    """`torch.nn.Dropout`."""
    return repeated(nn.Dropout(0.1), precision)


def repeated(layer: nn.Module, precision: str) -> Callable[[], None]:
    """A function that goes through a layer, forwards and backwards, several times."""
    images = torch.randn(8, 16, 128, 128, dtype=getattr(torch, precision), requires_grad=True)
    upstream = torch.ones_like(images)

    def work() -> None:
        for _ in range(TIMES):
            layer(images).backward(upstream)

    return work
