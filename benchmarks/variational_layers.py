"""Bayes by Backprop's convolutions: time and KL term of ours beside libraries'.

    python benchmarks/variational_layers.py

A forward pass, the KL term and a backward pass of two convolutions, in alternating runs on one
core; the ratio is each library's time over ours in the same round.
"""

import random
import statistics
import time
from collections.abc import Callable

import torch
import torchbnn
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torchbayesian.bnn import BayesianModule, VariationalPosterior
from torchbnn.functional import bayesian_kl_loss

from cardiouq.methods.bayes_by_backprop import Variant, gaussian_layers, kl_to_prior

PRIOR_SD, INITIAL_SD, ROUNDS = 0.5, 0.05, 100
Candidate = tuple[nn.Module, Callable[[], Tensor], Callable[[], list[tuple[Tensor, Tensor]]]]
"""A network, its KL term, and mean and SD of its weights."""


def convolutions() -> nn.Sequential:
    """32 -> 32 -> 64 channels, 3 x 3, without bias."""
    return nn.Sequential(*(nn.Conv2d(32, n, 3, padding=1, bias=False) for n in (32, 64)))


def ours() -> Candidate:
    network = Variant(initial_sd=INITIAL_SD).network(convolutions())
    return (
        network,
        lambda: kl_to_prior(network, PRIOR_SD),
        lambda: [(mu, posterior.sd) for mu, posterior in gaussian_layers(network).values()],
    )


def by_torchbnn() -> Candidate:
    settings = {"kernel_size": 3, "padding": 1, "bias": False}
    network = nn.Sequential(
        *(torchbnn.BayesConv2d(0, PRIOR_SD, 32, n, **settings) for n in (32, 64))
    )
    return (
        network,
        lambda: bayesian_kl_loss(network, "sum").sum(),
        lambda: [(layer.weight_mu, layer.weight_log_sigma.exp()) for layer in network],
    )


def by_torchbayesian() -> Candidate:
    network = BayesianModule(convolutions(), prior=("NORMAL", {"mu": 0.0, "sigma": PRIOR_SD}))
    return (
        network,
        network.kl_divergence,
        lambda: [(m.mu, m.sigma) for m in network.modules() if isinstance(m, VariationalPosterior)],
    )


def seconds(candidate: Candidate, images: Tensor) -> float:
    """Of one step."""
    network, kl, _ = candidate
    start = time.perf_counter()
    (network(images).square().mean() + 1e-6 * kl()).backward()
    return time.perf_counter() - start


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images = torch.randn(8, 32, 64, 64)
    candidates = {
        "ours": ours(),
        "ours again": ours(),
        "torchbnn": by_torchbnn(),
        "torchbayesian": by_torchbayesian(),
    }
    for name, (_, kl, weights) in candidates.items():
        exact = sum(
            kl_divergence(Normal(mu, sd), Normal(0.0, PRIOR_SD)).sum() for mu, sd in weights()
        )
        print(f"{name:14} KL / torch.distributions' {(kl() / exact).item():.6f}")
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name in random.sample(list(candidates), len(candidates)):
            times[name].append(seconds(candidates[name], images))
    for name, found in times.items():
        ratios = [one / other for one, other in zip(found, times["ours"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{name:14} time / ours {middle:.3f} [{low:.3f}, {high:.3f}]")
