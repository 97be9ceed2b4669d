"""Weights are drawn from a Gaussian with the moments of a trajectory's checkpoints."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cardiouq.methods.base import Member, Sample
from cardiouq.methods.swag import Gaussian, Method, gaussian_of, set_weights, weights_of
from cardiouq.recipes.schedule import CyclicalSchedule

SCHEDULE = CyclicalSchedule(
    30, cycles=3, gamma=0.5, alpha_0=0.01, alpha_r=0.1, epsilon=0.9, denominator="T"
)
"""Constant phases: epochs 5 to 9, 15 to 19, 25 to 29."""
EPOCHS = [6, 7, 8, 9]


def network(epoch: int) -> nn.Module:
    """Two layers with random weights, of which a convolution's are laid out as in training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(epoch)
        layers = nn.Sequential(nn.Conv2d(1, 3, kernel_size=2), nn.Conv2d(3, 2, kernel_size=1))
    return layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@pytest.fixture
def run(make_run: Any) -> Any:
    return make_run({epoch: partial(network, epoch) for epoch in range(30)})


def by_epoch() -> np.ndarray:
    """The weights after each of the epochs, (epochs, weights)."""
    return np.stack([weights_of(network(epoch)).numpy() for epoch in EPOCHS])


@pytest.mark.parametrize("rank", [0, 2, 4])
def test_moments_are_those_of_the_checkpoints(rank: int, run: Any) -> None:
    found = gaussian_of(run, EPOCHS, rank)
    weights = by_epoch()
    np.testing.assert_allclose(found.mean, weights.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.diagonal, weights.var(0), atol=1e-12)
    up_to_each = np.stack([weights[: n + 1].mean(0) for n in range(4)])
    expected = (weights - up_to_each)[4 - rank :]
    assert found.deviations.shape == expected.shape
    np.testing.assert_allclose(found.deviations, expected, atol=1e-12)


@pytest.mark.parametrize("rank", [0, 3])
def test_samples_have_the_gaussian_s_mean_and_covariance(rank: int) -> None:
    torch.manual_seed(1)
    of_weights = torch.randn(rank, 4).double()
    gaussian = Gaussian(torch.randn(4).double(), torch.rand(4).double(), of_weights)
    draws = torch.stack([gaussian.sample(scale=0.5) for _ in range(40_000)])
    low_rank = of_weights.T @ of_weights / 2
    expected = 0.5 * (gaussian.diagonal.diag() + low_rank)
    # standard errors are below 0.006 and 0.012 here
    torch.testing.assert_close(draws.mean(0), gaussian.mean, atol=0.025, rtol=0)
    torch.testing.assert_close(draws.T.cov(), expected, atol=0.05, rtol=0)


def test_without_a_scale_every_sample_is_the_mean(run: Any) -> None:
    gaussian = gaussian_of(run, EPOCHS, rank=3)
    assert torch.equal(gaussian.sample(scale=0.0), gaussian.mean)
    assert not torch.equal(gaussian.sample(scale=1e-6), gaussian.mean)


def test_a_network_has_the_weights_that_it_is_given(images: Tensor) -> None:
    first, second = network(1), network(2)
    assert not torch.equal(first(images), second(images))
    set_weights(second, weights_of(first))
    assert torch.equal(first(images), second(images))
    assert second[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_swag_samples_one_gaussian_of_the_last_cycle(run: Any) -> None:
    method = Method(checkpoints=3, step=2, rank=2, samples=4)
    assert method.checkpoint_epochs(SCHEDULE) == [25, 27, 29]
    draws = list(method.draws([run], SCHEDULE, {}))
    assert [draw.samples for draw in draws] == [[Sample(Member(), 29)]] * 4
    drawn = torch.stack([weights_of(draw.network) for draw in draws])
    assert len(drawn.unique(dim=0)) == 4


def test_multi_swag_samples_a_gaussian_of_every_cycle_and_run(run: Any, make_run: Any) -> None:
    method = Method(size=2, cycles=2, checkpoints=2, step=1, rank=0, scale=0.0, samples=3)
    assert method.members() == [Member(0), Member(1)]
    assert method.checkpoint_epochs(SCHEDULE) == [18, 19, 28, 29]
    assert method.network_passes(SCHEDULE) == 2 * 2 * 3
    shifted = {epoch: partial(network, 100 + epoch) for epoch in range(30)}
    runs = [run, make_run(shifted, Member(1))]
    draws = list(method.draws(runs, SCHEDULE, {}))
    found = [(draw.samples[0].member.seed, draw.samples[0].epoch) for draw in draws]
    assert found == [(seed, epoch) for seed in (0, 1) for epoch in (19, 29) for _ in range(3)]
    for draw in draws:
        [sample] = draw.samples
        seeds = [100 * sample.member.seed + sample.epoch - back for back in (1, 0)]
        mean = sum(weights_of(network(seed)) for seed in seeds) / 2
        torch.testing.assert_close(weights_of(draw.network), mean, atol=1e-6, rtol=0)


@pytest.mark.parametrize("rank", [1, 5])
def test_a_rank_that_the_checkpoints_cannot_give_is_an_error(rank: int) -> None:
    with pytest.raises(ValueError, match=f"`rank` is {rank}; expected 0, or from 2 to the 4"):
        Method(checkpoints=4, rank=rank)
