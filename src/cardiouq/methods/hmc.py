"""HMC-CP: cyclical stochastic-gradient Hamiltonian Monte Carlo with a cold posterior.

Zhao et al., MELBA 2024:011, on the sampler of Zhang et al., ICLR 2020 (cSGHMC). The paper's
temperature and schedule are unknown here; the schedule is that of Zhao et al., MICCAI 2022.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from cardiouq.methods.base import BaseVariant, Block, Style, Training
from cardiouq.methods.checkpoint_ensemble import Method as CheckpointEnsemble
from cardiouq.methods.settings import setting

Method = CheckpointEnsemble
"""The samples of the chain are the checkpoints of the constant phases."""


class SGHMC(torch.optim.SGD):
    """SGD with momentum 1 - a whose gradient carries noise while the posterior is sampled.

    The noise makes exp(-N * loss / T) its stationary distribution, to first order in the learning
    rate. In terms of the velocity v = -lr * (SGD's buffer): v <- (1 - a) v - lr * gradient
    + sqrt(2 * lr * a * T / N) * eps; w <- w + v. At T = 0 it is `torch.optim.SGD`, bit for bit.

    Args:
        params, lr, momentum, weight_decay, fused: as `torch.optim.SGD` has them.
        temperature: T; below 1 the posterior is cold.
        n: N, training samples that the loss is a mean over.
    """

    def __init__(self, params: Any, *, temperature: float, n: int, **settings: Any) -> None:
        super().__init__(params, **settings)
        self.temperature = temperature
        self.n = n

    def step(self, closure: Any = None) -> Any:
        """One step; groups whose `sampling` is true get the noise."""
        for group in self.param_groups:
            if not (self.temperature and group.get("sampling")):
                continue
            friction = 1 - group["momentum"]
            sd = math.sqrt(2 * friction * self.temperature / (self.n * group["lr"]))
            gradients = [each.grad for each in group["params"] if each.grad is not None]
            torch._foreach_add_(gradients, [torch.randn_like(each) for each in gradients], alpha=sd)
        return super().step(closure)


@dataclass(frozen=True)
class Variant(BaseVariant):
    """SGD with momentum, and in the constant phase of each cycle the noise of the sampler."""

    style = Style("#B20000", "p")

    temperature: float = setting(
        0.01,
        minimum=0,
        help="**unknown**: T of the posterior exp(-N loss / T); below 1 it is cold, at 0 the run is"
        " SGD with momentum",
    )

    def problems(self, recipe: Block) -> Iterator[str]:
        """The sampler needs SGD's plain momentum and a phase to sample in."""
        optimiser = recipe["optimiser"]
        if (optimiser["name"], optimiser.get("nesterov")) != ("sgd", False):
            yield "optimiser: hmc needs {name: sgd, nesterov: false}"
        if recipe["schedule"]["name"] != "cyclical":
            yield "schedule: hmc samples in the constant phases of a cyclical schedule"

    def optimiser(self, plain: torch.optim.Optimizer, training: Training) -> SGHMC:
        """The sampler over the plain optimiser's parameters."""
        [group] = plain.param_groups
        settings = {key: group[key] for key in ("lr", "momentum", "weight_decay", "fused")}
        return SGHMC(group["params"], temperature=self.temperature, n=training.images, **settings)
