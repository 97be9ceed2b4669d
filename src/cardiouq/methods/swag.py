"""SWAG (Maddox et al., NeurIPS 2019) and Multi-SWAG (Wilson and Izmailov, NeurIPS 2020)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cardiouq.methods.base import (
    BaseMethod,
    Block,
    Draw,
    Fitted,
    Member,
    Runs,
    Sample,
    Style,
    TrainedRun,
)
from cardiouq.methods.settings import setting
from cardiouq.recipes.schedule import Schedule, cyclical


class Gaussian(NamedTuple):
    """N(mean, scale * (diagonal + D^T D / (rank - 1))) over all weights of a network, float64."""

    mean: Tensor
    """(weights,)."""
    diagonal: Tensor
    """(weights,): variance of each weight."""
    deviations: Tensor
    """D, (rank, weights)."""

    def sample(self, scale: float) -> Tensor:
        """Weights that are drawn at random, (weights,); the mean itself if `scale` is 0."""
        own = self.diagonal.sqrt() * torch.randn_like(self.mean)
        common = self.mean.new_empty(len(self.deviations)).normal_()
        shared = common @ self.deviations / math.sqrt(max(len(self.deviations) - 1, 1))
        return torch.add(self.mean, own + shared, alpha=math.sqrt(scale))


@dataclass(frozen=True)
class Method(BaseMethod):
    """Weights from a Gaussian that has the moments of a cycle's checkpoints.

    Its mean is SWA's. With one cycle this is SWAG; with several, or several runs, the mixture of
    their Gaussians, Multi-SWAG. As for SWA, no pass refreshes batch norm, of which there is none.
    """

    size: int = setting(1, minimum=1, help="runs that differ in initial weights and order of data")
    cycles: int = setting(1, minimum=1, help="from the last backwards, each with its own Gaussian")
    checkpoints: int = setting(30, minimum=1, help="of each cycle")
    step: int = setting(2, minimum=1, help="epochs between checkpoints")
    rank: int = setting(
        20, minimum=0, help="of the covariance's other part than the diagonal, 0 or from 2"
    )
    scale: float = setting(
        0.5, minimum=0, help="of the covariance; 0.5 as published, 1 for the diagonal alone"
    )
    samples: int = setting(30, minimum=1, help="of each Gaussian")

    def __post_init__(self) -> None:
        if self.rank == 1 or self.rank > self.checkpoints:
            raise ValueError(
                f"`rank` is {self.rank}; expected 0, or from 2 to the {self.checkpoints} "
                "`checkpoints` of a cycle"
            )

    def style(self, recipe: Block) -> Style:
        """Warm colours, as trajectories have."""
        is_one = self.size == self.cycles == 1
        return Style("#E59245", "1") if is_one else Style("#E55050", "2")

    def members(self) -> list[Member]:
        """One run, or several of Multi-SWAG."""
        return [Member(seed) for seed in range(self.size)]

    def checkpoint_epochs(self, schedule: Schedule) -> list[int]:
        """The latest checkpoints of each of the last cycles."""
        return [epoch for cycle in self._epochs_of_cycles(schedule) for epoch in cycle]

    def network_passes(self, schedule: Schedule) -> int:
        return self.size * self.cycles * self.samples

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """One network per sample, named by the last epoch that its Gaussian has seen."""
        for run in runs:
            for epochs in self._epochs_of_cycles(schedule):
                gaussian = gaussian_of(run, epochs, self.rank)
                for _ in range(self.samples):
                    network = run.network(epochs[-1])
                    set_weights(network, gaussian.sample(self.scale))
                    yield Draw([Sample(run.member, epochs[-1])], network)

    def _epochs_of_cycles(self, schedule: Schedule) -> list[list[int]]:
        return cyclical(schedule).latest_epochs(self.cycles, self.checkpoints, self.step)


def gaussian_of(run: TrainedRun, epochs: list[int], rank: int) -> Gaussian:
    """The Gaussian with the moments of a run's weights after some epochs.

    D has the last `rank` epochs' weights less the mean up to each, as published.
    """
    total, squares, deviations = torch.zeros(()), torch.zeros(()), []
    for count, epoch in enumerate(epochs, start=1):
        weights = weights_of(run.network(epoch))
        total = total.to(weights) + weights
        squares = squares.to(weights) + weights.square()
        if count > len(epochs) - rank:
            deviations.append(weights - total / count)
    mean = total / len(epochs)
    return Gaussian(
        mean,
        (squares / len(epochs) - mean.square()).clamp_min(0),
        torch.stack(deviations) if deviations else mean.new_empty(0, len(mean)),
    )


def weights_of(network: nn.Module) -> Tensor:
    """All weights of a network, (weights,) float64."""
    return torch.cat([each.detach().flatten().double() for each in network.parameters()])


@torch.no_grad()
def set_weights(network: nn.Module, weights: Tensor) -> None:
    """Give a network other weights, (weights,) in the order of `weights_of`."""
    start = 0
    for parameter in network.parameters():
        part = weights[start : start + parameter.numel()]
        parameter.copy_(part.view_as(parameter))
        start += parameter.numel()
