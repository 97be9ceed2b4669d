"""The optimiser that a recipe asks for."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from cardiouq.recipes.schedule import Schedule


def build_optimiser(network: nn.Module, settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW, which learns within few iterations.

    The learning rate is the schedule's; `set_rate` sets it at every epoch.
    """
    decay = settings["weight_decay"]
    if settings["name"] == "adamw":
        return torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=decay, fused=True)
    return torch.optim.SGD(
        network.parameters(),
        lr=0.0,
        momentum=settings["momentum"],
        nesterov=settings["nesterov"],
        weight_decay=decay,
        fused=True,
    )


def set_rate(optimiser: torch.optim.Optimizer, schedule: Schedule, epoch: int) -> None:
    """Tell every group of parameters the epoch's rate, and whether the posterior is sampled."""
    for group in optimiser.param_groups:
        group["lr"] = schedule.learning_rate(epoch)
        group["sampling"] = schedule.is_sampling(epoch)
