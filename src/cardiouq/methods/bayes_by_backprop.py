"""Bayes by Backprop (Blundell et al., ICML 2015), as Ng et al. (IEEE TBME 2022) have it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils import parametrize

from cardiouq.methods.base import (
    BaseMethod,
    BaseVariant,
    Block,
    Draw,
    Fitted,
    Runs,
    Sample,
    Style,
    Training,
    WeightPosterior,
)
from cardiouq.methods.settings import setting
from cardiouq.recipes.schedule import Schedule

if TYPE_CHECKING:
    from cardiouq.recipes.network import UNet

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


class Gaussian(nn.Module):
    """A weight that is drawn anew whenever it is read: mu + softplus(rho) * eps.

    It is a parametrization (`torch.nn.utils.parametrize`) of the weight mu.
    """

    def __init__(self, mu: Tensor, initial_sd: float) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full_like(mu, math.log(math.expm1(initial_sd))))

    @property
    def sd(self) -> Tensor:
        """SD of the posterior, in the weight's shape."""
        return softplus(self.rho)

    def forward(self, mu: Tensor) -> Tensor:
        """A draw from the posterior N(mu, sd^2)."""
        return mu + self.sd * torch.randn_like(mu)


def gaussian_layers(network: nn.Module) -> dict[str, tuple[Tensor, Gaussian]]:
    """Name of each convolution -> its weight's mu and posterior.

    MONAI's network has some under several names, of which the first counts.
    """
    return {
        name: (module.parametrizations.weight.original, module.parametrizations.weight[0])
        for name, module in network.named_modules()
        if parametrize.is_parametrized(module, "weight")
    }


def kl_to_prior(network: nn.Module, prior_sd: float) -> Tensor:
    """KL divergence of the posterior over all weights from N(0, prior_sd^2), in nats.

    `torch.distributions.kl_divergence` gives the same, and has a GPU wait for its checks of each
    layer.
    """
    divergences = []
    for mu, posterior in gaussian_layers(network).values():
        ratio = posterior.sd / prior_sd
        squares = ratio.square() + (mu / prior_sd).square()
        divergences.append((0.5 * (squares - 1) - ratio.log()).sum())
    return torch.stack(divergences).sum()


@dataclass(frozen=True)
class Variant(BaseVariant):
    """A Gaussian posterior over the weights of every convolution; biases and norms are points.

    Minimises loss + kl_weight * KL / D. The loss is a mean over pixels, so that D = `per: pixel`
    (pixels of the training set) makes it the evidence lower bound of independent pixels. The paper
    leaves the scale open.
    """

    only_own_method = True

    prior_sd: float = setting(0.1, exclusiveMinimum=0, help="SD of the prior N(0, prior_sd^2)")
    kl_weight: float = setting(10.0, minimum=0, help="the paper's lambda")
    initial_sd: float = setting(
        0.005, exclusiveMinimum=0, help="**ambiguity**: SD of the posterior at the start"
    )
    per: Literal["pixel", "image"] = setting(
        "pixel",
        help="**ambiguity**: the KL term is divided by all annotated pixels of the training set"
        " (its slices, as large as a patch), which is the evidence lower bound, or by its slices",
    )

    def problems(self, recipe: Block) -> Iterator[str]:
        """Weight decay, which is a second prior of the means and drags rho, so each SD, to a value
        of its own."""
        if decay := recipe["optimiser"]["weight_decay"]:
            yield (
                f"optimiser.weight_decay: {decay}; expected 0, as the KL term is the prior of the "
                "weights, and decay would pull at their SD too"
            )

    def posterior(self) -> WeightPosterior:
        return WeightPosterior(self.prior_sd, self.initial_sd)

    def network(self, plain: "UNet") -> nn.Module:
        """The plain network with the weights of its convolutions parametrized."""
        for module in list(plain.modules()):
            if isinstance(module, CONVOLUTIONS):
                posterior = Gaussian(module.weight, self.initial_sd)
                parametrize.register_parametrization(module, "weight", posterior)
        return plain

    def loss(self, heads: Sequence[Tensor], labels: Tensor, training: Training) -> Tensor:
        """The plain loss of one draw of the weights, and the KL term in closed form."""
        images = training.images * (training.pixels if self.per == "pixel" else 1)
        loss: Tensor = training.plain_loss(heads, labels)
        return loss + self.kl_weight / images * kl_to_prior(training.network, self.prior_sd)


@dataclass(frozen=True)
class Method(BaseMethod):
    """Networks whose weights are drawn from the posterior; one draw sees all cases."""

    usual_style = Style("#66753A", "x")
    needs_variant = "bayes_by_backprop"

    samples: int = setting(50, minimum=1, help="draws of the weights")

    def network_passes(self, schedule: Schedule) -> int:
        return self.samples

    def draws(self, runs: Runs, schedule: Schedule, fitted: Fitted) -> Iterator[Draw]:
        """Networks with plain convolutions that hold the drawn weights."""
        for run in runs:
            for _ in range(self.samples):
                epoch = schedule.epochs - 1
                yield Draw([Sample(run.member, epoch)], drawn(run.network(epoch)))


def drawn(network: nn.Module) -> nn.Module:
    """The network with one draw of its weights in place of their distribution."""
    for module in network.modules():
        if parametrize.is_parametrized(module, "weight"):
            with torch.no_grad():
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return network
