"""The sampler of HMC-CP against SGD, the exact discrete recursion and an independent sampler."""

import copy
from collections.abc import Callable
from typing import Any

import emcee
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_lyapunov
from scipy.special import log_expit
from scipy.stats import norm, skew
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cardiouq.methods.base import Member, Training
from cardiouq.methods.hmc import SGHMC, Variant
from cardiouq.recipes.loss import DeepSupervisionLoss
from cardiouq.recipes.optimiser import build_optimiser

SETTINGS = {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.01}
BOUND = float(norm.isf(1e-6))
"""Of a score in standard errors: a right sampler exceeds it once in half a million tries."""

MOMENTUM = 0.9
SIGMA = np.array([[1.0, 0.6], [0.6, 2.0]])
"""Covariance of the Gaussian target at T = 1."""
TEMPERATURE = 0.5
N = 50


def trajectory(
    optimiser_of: Callable[[nn.Module], torch.optim.Optimizer], sampling: bool
) -> list[Tensor]:
    """Parameters after each of 60 steps on random batches, at changing learning rates."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 8), nn.LeakyReLU(), nn.Linear(8, 3))
    optimiser = optimiser_of(network)
    batches = torch.Generator().manual_seed(1)
    weights = []
    for step in range(60):
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * (1 - step / 60) ** 0.9
            group["sampling"] = sampling and step >= 30
        features = torch.randn(16, 5, generator=batches)
        labels = torch.randint(0, 3, (16,), generator=batches)
        optimiser.zero_grad()
        cross_entropy(network(features), labels).backward()
        optimiser.step()
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    return weights


def sgd(network: nn.Module) -> torch.optim.Optimizer:
    return build_optimiser(network, SETTINGS)


def sghmc(temperature: float) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda network: variant_s(temperature, network, images=50)


def variant_s(temperature: float, network: nn.Module, images: int) -> SGHMC:
    """The optimiser of a training on so many images."""
    loss = DeepSupervisionLoss(heads=1)
    training = Training(
        Member(), network, loss, images=images, pixels=1024, progress=torch.zeros(())
    )
    return Variant(temperature).optimiser(sgd(network), training)


@pytest.mark.parametrize(("temperature", "sampling"), [(0.0, True), (1.0, False)])
def test_cold_or_not_sampling_it_is_sgd_bit_for_bit(temperature: float, sampling: bool) -> None:
    ours, theirs = trajectory(sghmc(temperature), sampling), trajectory(sgd, sampling)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_posterior_is_over_the_images_of_the_training_set() -> None:
    optimiser = variant_s(0.3, nn.Linear(2, 2), images=70)
    assert (optimiser.n, optimiser.temperature) == (70, 0.3)


def test_noise_comes_with_the_sampling_phase() -> None:
    ours, theirs = trajectory(sghmc(1.0), True), trajectory(sgd, True)
    assert all(torch.equal(a, b) for a, b in zip(ours[:30], theirs[:30], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(ours[30:], theirs[30:], strict=True))


def test_noise_is_in_groups_that_sample_and_in_parameters_with_gradients() -> None:
    sampling, resting, unused = (nn.Parameter(torch.zeros(9)) for _ in range(3))
    groups = [{"params": [sampling, unused], "sampling": True}, {"params": [resting]}]
    optimiser = SGHMC(groups, lr=0.1, momentum=0.9, temperature=1.0, n=5)
    sampling.grad, resting.grad = torch.zeros(9), torch.zeros(9)
    optimiser.step()
    assert (sampling != 0).all()
    assert (resting == 0).all()
    assert (unused == 0).all()


def test_one_step_adds_noise_of_the_stated_size() -> None:
    weights = nn.Parameter(torch.zeros(100_000))
    optimiser = SGHMC([weights], lr=0.02, momentum=0.9, temperature=0.3, n=7)
    optimiser.param_groups[0]["sampling"] = True
    weights.grad = torch.zeros_like(weights)
    torch.manual_seed(2)
    optimiser.step()
    z = weights.detach().double() / (2 * 0.02 * 0.1 * 0.3 / 7) ** 0.5
    assert abs(z.mean()) * len(z) ** 0.5 < BOUND
    assert abs(z.var() - 1) * (len(z) / 2) ** 0.5 < BOUND


def recursion(lr: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The map of (w, v) that a step is on the Gaussian target, and the noise's covariance."""
    pull, eye = lr * np.linalg.inv(SIGMA) / N, np.eye(2)
    step = np.block([[eye - pull, MOMENTUM * eye], [-pull, MOMENTUM * eye]])
    noise = 2 * lr * (1 - MOMENTUM) * TEMPERATURE / N * np.kron(np.ones((2, 2)), eye)
    return step, noise


def stationary_covariance(lr: float) -> NDArray[np.float64]:
    """Exact, of w."""
    covariance: NDArray[np.float64] = solve_discrete_lyapunov(*recursion(lr))[:2, :2]
    return covariance


def test_stationary_covariance_is_the_cold_posterior_s_to_first_order() -> None:
    errors = [np.abs(stationary_covariance(lr) - TEMPERATURE * SIGMA).max() for lr in (0.1, 0.01)]
    assert errors[0] < 0.01
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.05)


def largest_score(temperature: float, lr: float = 0.5, chains: int = 20_000) -> float:
    """Of the mean and covariance of independent chains, in standard errors from the exact ones."""
    steps = 500
    assert np.abs(np.linalg.eigvals(recursion(lr)[0])).max() ** steps < 1e-6  # is stationary
    precision = torch.from_numpy(np.linalg.inv(SIGMA))
    weights = nn.Parameter(torch.zeros(chains, 2, dtype=torch.float64))
    optimiser = SGHMC([weights], lr=lr, momentum=MOMENTUM, temperature=temperature, n=N)
    optimiser.param_groups[0]["sampling"] = True
    torch.manual_seed(3)
    for _ in range(steps):
        weights.grad = weights.detach() @ precision / N  # of the loss w' precision w / 2 N
        optimiser.step()
    samples = weights.detach().numpy()
    exact = stationary_covariance(lr)
    variances = np.diag(exact)
    of_mean = samples.mean(0) / np.sqrt(variances / chains)
    errors = np.sqrt((np.outer(variances, variances) + exact**2) / chains)
    of_covariance = (np.cov(samples.T) - exact) / errors
    return float(max(np.abs(of_mean).max(), np.abs(of_covariance).max()))


def test_chains_have_the_exact_stationary_mean_and_covariance() -> None:
    assert largest_score(TEMPERATURE) < BOUND


def test_twice_the_learning_rate_instead_of_its_root_would_be_seen() -> None:
    lr = 0.5
    variance = 2 * lr * (1 - MOMENTUM) * TEMPERATURE / N
    mistaken = TEMPERATURE * variance  # the temperature whose noise has the SD `variance`
    assert largest_score(mistaken, lr) > 10 * BOUND


FEATURES = np.column_stack([np.ones(12), np.linspace(-1, 2, 12)])
OUTCOMES = np.array([-1, -1, -1, 1, -1, 1, 1, 1, 1, 1, 1, 1])
PRIOR_SD = 3.0


def log_posterior(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a logistic regression (walkers, 2), up to a constant."""
    log_likelihood = log_expit(weights @ (FEATURES.T * OUTCOMES)).sum(1)
    total: NDArray[np.float64] = log_likelihood - (weights**2).sum(1) / (2 * PRIOR_SD**2)
    return total


def moments_by_emcee() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Means and variances, their standard errors, and the samples (draws, 2)."""
    walkers = 40
    rng = np.random.default_rng(4)
    np.random.seed(4)  # noqa: NPY002 - emcee's generator, which the sampler copies
    sampler = emcee.EnsembleSampler(walkers, 2, log_posterior, vectorize=True)
    sampler.run_mcmc(rng.normal(size=(walkers, 2)), 3000)
    chain = sampler.get_chain(discard=300)
    powers = np.concatenate([chain, (chain - chain.mean((0, 1))) ** 2], axis=2)
    tau = emcee.autocorr.integrated_time(powers)
    draws = powers.shape[0] * walkers
    errors = powers.reshape(draws, -1).std(0) * np.sqrt(tau / draws)
    return powers.mean((0, 1)), errors, chain.reshape(draws, 2)


def moments_by_sghmc() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means and variances over independent chains, and their standard errors."""
    chains, n = 4000, len(OUTCOMES)
    signed = torch.from_numpy(FEATURES * OUTCOMES[:, None])
    weights = nn.Parameter(torch.zeros(chains, 2, dtype=torch.float64))
    # the prior as weight decay, as in training; the loss is a mean over the samples
    optimiser = SGHMC(
        [weights], lr=0.1, momentum=0.9, weight_decay=1 / (PRIOR_SD**2 * n), temperature=1.0, n=n
    )
    optimiser.param_groups[0]["sampling"] = True
    torch.manual_seed(5)
    for _ in range(600):
        # of the mean of -log sigmoid(features . weights * outcome)
        weights.grad = -torch.sigmoid(-weights.detach() @ signed.T) @ signed / n
        optimiser.step()
    samples = weights.detach().numpy()
    powers = np.hstack([samples, (samples - samples.mean(0)) ** 2])
    return powers.mean(0), powers.std(0) / np.sqrt(chains)


def test_a_posterior_that_is_not_gaussian_agrees_with_emcee() -> None:
    theirs, their_errors, samples = moments_by_emcee()
    ours, our_errors = moments_by_sghmc()
    assert abs(skew(samples[:, 1])) > 0.3  # not Gaussian
    scores = (ours - theirs) / np.hypot(our_errors, their_errors)
    assert np.abs(scores).max() < BOUND
    assert (
        np.hypot(our_errors, their_errors)[2:] < 0.06 * theirs[2:]
    ).all()  # and is no loose test


@pytest.mark.parametrize(
    ("optimiser", "schedule", "complaints"),
    [
        (SETTINGS, "cyclical", []),
        ({"name": "sgd", "momentum": 0.9, "weight_decay": 0.0}, "cyclical", ["nesterov"]),
        ({"name": "adamw", "weight_decay": 0.0}, "cyclical", ["nesterov"]),
        (SETTINGS, "polynomial", ["cyclical"]),
    ],
)
def test_recipes_that_it_cannot_sample_with_are_named(
    optimiser: dict[str, Any], schedule: str, complaints: list[str]
) -> None:
    recipe = {"optimiser": copy.deepcopy(optimiser), "schedule": {"name": schedule}}
    problems = list(Variant().problems(recipe))
    assert len(problems) == len(complaints)
    assert all(word in text for word, text in zip(complaints, problems, strict=True))
