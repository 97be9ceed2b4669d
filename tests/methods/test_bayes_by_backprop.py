"""The posterior over weights of Bayes by Backprop: its KL divergence, its moments, its draws."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn.functional import softplus
from torch.nn.utils import parametrize

from cardiouq.methods.base import Member, Training
from cardiouq.methods.bayes_by_backprop import Method, Variant, drawn, gaussian_layers, kl_to_prior
from cardiouq.recipes.network import UNet
from cardiouq.recipes.schedule import PolynomialSchedule
from cardiouq.training.checkpoints import load_tensors, load_weights, save_tensors

MakeNetwork = Callable[..., UNet]
MakeTraining = Callable[..., Training]
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
FALSE_ALARM = 1e-6
"""Probability that a right sampler exceeds the bounds of one test."""


def randomised(network: nn.Module) -> nn.Module:
    """The network with posteriors that differ from weight to weight."""
    torch.manual_seed(5)
    with torch.no_grad():
        for mu, posterior in gaussian_layers(network).values():
            mu.normal_(0, 0.2)
            posterior.rho.uniform_(-6, 1)
    return network


@pytest.fixture
def posterior(make_network: MakeNetwork) -> nn.Module:
    return randomised(Variant().network(make_network()))


def test_each_convolution_is_parametrized_once_and_nothing_else(make_network: MakeNetwork) -> None:
    plain = make_network()
    registered = [
        module
        for _, module in plain.named_modules(remove_duplicate=False)
        if isinstance(module, CONVOLUTIONS)
    ]
    assert len(registered) > len(set(registered))  # MONAI has blocks under two names
    network = Variant().network(plain)
    convolutions = [m for m in network.modules() if isinstance(m, CONVOLUTIONS)]
    assert len(convolutions) == len(set(registered)) == len(gaussian_layers(network))
    for module in network.modules():
        if isinstance(module, CONVOLUTIONS):
            assert list(module.parametrizations) == ["weight"]
            assert len(module.parametrizations["weight"]) == 1
        elif not isinstance(module, parametrize.ParametrizationList):
            assert not parametrize.is_parametrized(module)


def test_only_weights_of_convolutions_get_a_standard_deviation(make_network: MakeNetwork) -> None:
    before = {name: p.numel() for name, p in make_network().named_parameters()}
    network = Variant().network(make_network())
    after = {name: p.numel() for name, p in network.named_parameters()}
    stem = "parametrizations.weight"
    means = {name.replace(f"{stem}.original", "weight"): size for name, size in after.items()}
    rhos = {name: size for name, size in means.items() if name.endswith("rho")}
    assert {name: size for name, size in means.items() if name not in rhos} == before
    of_weights = {name.replace(f"{stem}.0.rho", "weight"): size for name, size in rhos.items()}
    assert of_weights == {
        name: size for name, size in before.items() if name.endswith("conv.weight")
    }


@pytest.mark.parametrize("prior_sd", [0.01, 0.3, 5.0])
def test_kl_and_its_gradients_are_those_of_torch_s_distributions(
    posterior: nn.Module, prior_sd: float
) -> None:
    divergences, parameters = [], []
    for module in posterior.double().modules():
        if isinstance(module, CONVOLUTIONS):
            mu, rho = module.parametrizations.weight.original, module.parametrizations.weight[0].rho
            q = Independent(Normal(mu, softplus(rho)), mu.dim())
            p = Independent(Normal(torch.zeros_like(mu), torch.full_like(mu, prior_sd)), mu.dim())
            divergences.append(kl_divergence(q, p))
            parameters += [mu, rho]
    expected, found = torch.stack(divergences).sum(), kl_to_prior(posterior, prior_sd)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    for ours, theirs in zip(
        *(torch.autograd.grad(kl, parameters) for kl in (found, expected)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    in_float32 = kl_to_prior(posterior.float(), prior_sd)
    assert in_float32.item() == pytest.approx(expected.item(), rel=1e-5)


def test_kl_is_the_closed_form(posterior: nn.Module) -> None:
    values = dict(posterior.named_parameters())
    rhos = torch.cat([v.flatten() for name, v in values.items() if name.endswith(".rho")]).double()
    mus = torch.cat([v.flatten() for name, v in values.items() if name.endswith(".original")])
    sd, mu, prior = (1 + rhos.exp()).log(), mus.double(), 0.1
    expected = (prior / sd).log() + (sd**2 + mu**2) / (2 * prior**2) - 0.5
    assert float(kl_to_prior(posterior, prior).detach()) == pytest.approx(
        float(expected.sum().detach()), rel=1e-5
    )


def test_kl_of_the_prior_itself_is_zero(make_network: MakeNetwork) -> None:
    network = Variant(initial_sd=0.1).network(make_network())
    with torch.no_grad():
        for mu, _ in gaussian_layers(network).values():
            mu.zero_()
    assert float(kl_to_prior(network, 0.1).detach()) == pytest.approx(0, abs=1e-2)
    assert float(kl_to_prior(network, 0.2).detach()) > 100


def test_standard_deviation_starts_at_the_initial_one(make_network: MakeNetwork) -> None:
    network = Variant(initial_sd=0.007).network(make_network())
    for _, layer in gaussian_layers(network).values():
        torch.testing.assert_close(layer.sd, torch.full_like(layer.sd, 0.007), rtol=1e-4, atol=0)


def two_layers() -> nn.Module:
    """Convolutions, always with the same posterior."""
    layers = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ConvTranspose2d(3, 2, 2))
    return randomised(Variant().network(layers))  # type: ignore[arg-type]


def test_drawn_weights_have_the_posterior_s_moments_and_are_independent() -> None:
    """z-scores of each weight's mean and variance and of each pair's correlation, bounded so that a
    right sampler fails with a probability of at most 1e-6 each (Bonferroni)."""
    draws = 600
    layers = [two_layers() for _ in range(draws)]
    network = two_layers()
    mu, sd = (
        torch.cat([values.detach().flatten() for values in of_layers])
        for of_layers in zip(
            *[(m, layer.sd) for m, layer in gaussian_layers(network).values()], strict=True
        )
    )
    torch.manual_seed(6)
    weights = torch.stack(
        [torch.cat([layer.weight.detach().flatten() for layer in drawn(two)]) for two in layers]
    )
    z = ((weights - mu) / sd).double()
    count = z.shape[1]
    of_mean = z.mean(0) * draws**0.5
    of_variance = (z.var(0) - 1) / (2 / (draws - 1)) ** 0.5
    pairs = torch.corrcoef(z.T)[*torch.triu_indices(count, count, 1)] * draws**0.5
    for scores in (of_mean, of_variance, pairs):
        assert scores.abs().max() < norm.isf(FALSE_ALARM / 2 / len(scores))


def test_drawn_network_is_certain_and_another_draw_is_another(
    make_network: MakeNetwork, make_run: Any, images: Tensor
) -> None:
    def posterior() -> nn.Module:
        state = torch.get_rng_state()
        network = randomised(Variant().network(make_network())).eval()
        torch.set_rng_state(state)  # as reading it from disk draws nothing
        return network

    undrawn = posterior()
    assert not torch.equal(undrawn(images), undrawn(images))
    run = make_run({7: posterior}, Member(3))
    first, second = Method(samples=2).draws(
        [run], PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9), {}
    )
    assert torch.equal(first.network(images), first.network(images))
    assert not torch.equal(first.network(images), second.network(images))
    assert [(s.member, s.epoch) for d in (first, second) for s in d.samples] == [(Member(3), 7)] * 2


def test_drawn_network_has_the_plain_network_s_parameters(
    posterior: nn.Module, make_network: MakeNetwork
) -> None:
    names = {name for name, _ in drawn(posterior).named_parameters()}
    assert names == {name for name, _ in make_network().named_parameters()}


@pytest.mark.parametrize(("per", "divisor"), [("pixel", 60 * 32 * 32), ("image", 60)])
def test_loss_is_the_plain_one_plus_the_weighted_kl(
    per: Any,
    divisor: int,
    posterior: nn.Module,
    images: Tensor,
    labels: Tensor,
    make_training: MakeTraining,
) -> None:
    heads = posterior.train()(images)
    training = make_training(network=posterior)
    loss = Variant(prior_sd=0.2, kl_weight=3.0, per=per).loss(heads, labels, training)
    expected = training.plain_loss(heads, labels) + 3.0 * kl_to_prior(posterior, 0.2) / divisor
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("kl_weight", [0.0, 10.0])
def test_gradients_reach_every_mean_and_every_standard_deviation(
    kl_weight: float,
    posterior: nn.Module,
    images: Tensor,
    labels: Tensor,
    make_training: MakeTraining,
) -> None:
    training = make_training(network=posterior)
    heads = posterior.train()(images)
    Variant(kl_weight=kl_weight).loss(heads, labels, training).backward()
    for mu, layer in gaussian_layers(posterior).values():
        assert mu.grad is not None
        assert layer.rho.grad is not None
        assert mu.grad.abs().sum() > 0
        assert layer.rho.grad.abs().sum() > 0


def test_saved_and_loaded_weights_are_the_same_posterior(
    posterior: nn.Module, make_network: MakeNetwork, images: Tensor, tmp_path: Path
) -> None:
    save_tensors(dict(posterior.named_parameters()), tmp_path / "weights.safetensors")
    loaded = Variant(initial_sd=0.1).network(make_network(seed=9))
    load_weights(loaded, load_tensors(tmp_path / "weights.safetensors"))
    ours, theirs = gaussian_layers(posterior), gaussian_layers(loaded)
    assert ours.keys() == theirs.keys()
    for name, (mu, layer) in ours.items():
        assert torch.equal(mu, theirs[name][0])
        assert torch.equal(layer.sd, theirs[name][1].sd)
    outputs = []
    for network in (posterior, loaded):
        torch.manual_seed(4)
        outputs.append(drawn(network).eval()(images))
    assert torch.equal(*outputs)
