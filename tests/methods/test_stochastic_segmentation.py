"""Stochastic segmentation networks: the Gaussian over the logits, and its likelihood."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal
from torch.nn.functional import softplus

from cardiouq.methods.base import Training
from cardiouq.methods.stochastic_segmentation import (
    LEAST_VARIANCE,
    Method,
    StochasticSegmentation,
    Variant,
    sample_logits,
)
from cardiouq.recipes.loss import HEAD_LOSSES, DeepSupervisionLoss
from cardiouq.recipes.network import UNet
from cardiouq.recipes.schedule import PolynomialSchedule
from cardiouq.structures import IGNORED
from tests.recipes import peers

MakeNetwork = Callable[..., UNet]
MakeTraining = Callable[..., Training]
RANK = 2
CLASSES = 4
FALSE_ALARM = 1e-6
"""Probability that a right sampler exceeds the bounds of one test."""


@pytest.fixture
def output() -> Tensor:
    """Parameters of the Gaussians of two images of 2 x 3 pixels, (2, 16, 2, 3)."""
    return torch.randn(2, CLASSES * (2 + RANK), 2, 3, generator=torch.Generator().manual_seed(1))


def torch_s_distribution(output: Tensor) -> LowRankMultivariateNormal:
    """The Gaussian over the logits of each image, class by class and row by row."""
    blocks = output.reshape(len(output), 2 + RANK, -1)
    variances = softplus(blocks[:, 1]) + LEAST_VARIANCE
    return LowRankMultivariateNormal(blocks[:, 0], blocks[:, 2:].transpose(1, 2), variances)


def expected_moments(of_image: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and covariance of an image's logits."""
    distribution = torch_s_distribution(of_image.double()[None])
    return distribution.mean[0].numpy(), distribution.covariance_matrix[0].numpy()


@pytest.mark.parametrize("size", [(2, 3), (16, 24), (1, 5)])
@pytest.mark.parametrize("samples", [1, 20])
def test_draws_are_torch_s_with_the_same_normal_numbers(
    size: tuple[int, int], samples: int
) -> None:
    draw = torch.Generator().manual_seed(1)
    output = torch.randn(3, CLASSES * (2 + RANK), *size, generator=draw)
    torch.manual_seed(8)
    found = sample_logits(output, samples)
    torch.manual_seed(8)
    expected = torch_s_distribution(output).rsample(torch.Size([samples]))
    assert found.shape == (samples, 3, CLASSES, *size)
    torch.testing.assert_close(found.flatten(2), expected, atol=1e-5, rtol=0)


def test_samples_have_the_mean_and_covariance_that_were_asked_for(output: Tensor) -> None:
    """z-scores, bounded so that a right sampler fails with a probability of at most 1e-6 each
    (Bonferroni)."""
    draws = 50_000
    torch.manual_seed(2)
    samples = sample_logits(output, draws)
    assert samples.shape == (draws, 2, CLASSES, 2, 3)
    for image in range(2):
        values = samples[:, image].flatten(1).double().numpy()
        mean, covariance = expected_moments(output[image])
        variances = np.diag(covariance)
        of_mean = (values.mean(0) - mean) / np.sqrt(variances / draws)
        errors = np.sqrt((np.outer(variances, variances) + covariance**2) / draws)
        of_covariance = (np.cov(values.T) - covariance) / errors
        for scores in (of_mean, of_covariance):
            assert np.abs(scores).max() < norm.isf(FALSE_ALARM / 2 / scores.size)
        # and a diagonal covariance would be seen
        assert np.abs((covariance - np.diag(variances)) / errors).max() > 50


def test_images_of_a_batch_are_independent(output: Tensor) -> None:
    draws = 20_000
    torch.manual_seed(3)
    first, second = sample_logits(output, draws).flatten(2).unbind(1)
    scores = np.corrcoef(first.T.numpy(), second.T.numpy())[:24, 24:] * draws**0.5
    assert np.abs(scores).max() < norm.isf(FALSE_ALARM / 2 / scores.size)


def test_likelihood_is_the_mean_over_samples_of_the_product_over_pixels(
    output: Tensor, make_training: MakeTraining
) -> None:
    labels = torch.tensor([[0, 1, 2, 3, 1, 0], [2, 2, 1, 0, 3, 3]]).view(2, 1, 2, 3)
    torch.manual_seed(4)
    loss = Variant(rank=RANK, samples=7).loss([output], labels, make_training())
    torch.manual_seed(4)
    probabilities = sample_logits(output, 7).double().softmax(2).numpy()
    of_images = []
    for image in range(2):
        of_samples = []
        for sample in range(7):
            product = 1.0
            for row in range(2):
                for column in range(3):
                    label = int(labels[image, 0, row, column])
                    product *= probabilities[sample, image, label, row, column]
            of_samples.append(product)
        of_images.append(-np.log(np.mean(of_samples)) / 6)
    expected = np.mean(of_images) + float(peers.DICE(output[:, :CLASSES], labels))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def by_gathering(output: Tensor, labels: Tensor, samples: int) -> Tensor:
    """Eq. 6 on draws of torch's distribution, per annotated pixel of the batch, and soft Dice."""
    known = labels != IGNORED
    drawn = torch_s_distribution(output).rsample(torch.Size([samples]))
    log_p = drawn.view(samples, -1, CLASSES, *output.shape[2:]).log_softmax(2)
    truth = labels.where(known, 0).long().expand(samples, *labels.shape)
    of_images = log_p.gather(2, truth).where(known, 0).flatten(2).sum(2)
    likelihood = of_images.logsumexp(0) - math.log(samples)
    dice = peers.at_full_resolution(peers.DICE)(output[:, :CLASSES], labels)
    return dice - likelihood.mean() / (known.sum() / len(labels))


@pytest.mark.parametrize("labels", peers.ANNOTATED.values(), ids=peers.ANNOTATED.keys())
def test_loss_and_gradient_are_those_of_gathered_log_probabilities(
    labels: Tensor, make_training: MakeTraining
) -> None:
    draw = torch.Generator().manual_seed(9)
    output = torch.randn(peers.BATCH, CLASSES * (2 + RANK), *peers.SIZE, generator=draw).double()
    output.requires_grad_()
    torch.manual_seed(10)
    ours = Variant(rank=RANK, samples=6).loss([output], labels, make_training())
    torch.manual_seed(10)
    peers.assert_same(ours, by_gathering(output, labels, 6), output)


def test_dice_term_is_left_out_where_the_loss_is_cross_entropy(
    output: Tensor, make_training: MakeTraining
) -> None:
    labels = torch.randint(0, CLASSES, (2, 1, 2, 3), generator=torch.Generator().manual_seed(5))
    losses = []
    for name in ("dice_cross_entropy", "cross_entropy"):
        torch.manual_seed(4)
        training = make_training(plain_loss=DeepSupervisionLoss(2, HEAD_LOSSES[name]))
        losses.append(Variant(rank=RANK).loss([output], labels, training))
    term = peers.DICE(output[:, :CLASSES], labels)
    assert float(losses[0] - losses[1]) == pytest.approx(float(term), rel=1e-4)


def test_without_covariance_it_is_cross_entropy(
    output: Tensor, make_training: MakeTraining
) -> None:
    labels = torch.randint(0, CLASSES, (2, 1, 2, 3), generator=torch.Generator().manual_seed(5))
    certain = output.clone()
    certain[:, CLASSES : 2 * CLASSES] = -100
    certain[:, 2 * CLASSES :] = 0
    torch.manual_seed(6)
    loss = Variant(rank=RANK).loss([certain], labels, make_training())
    expected = peers.DICE_AND_CROSS_ENTROPY(output[:, :CLASSES], labels)
    # what is left is noise of variance LEAST_VARIANCE
    assert float(loss) == pytest.approx(float(expected), abs=1e-3)


def test_output_has_the_plain_network_s_logits_as_mean(
    make_network: MakeNetwork, images: Tensor
) -> None:
    network = Variant(rank=RANK).network(make_network()).eval()
    output = network(images)
    assert output.shape == (2, CLASSES * (2 + RANK), 32, 32)
    assert torch.equal(output[:, :CLASSES], make_network()(images))
    assert torch.equal(Variant().logits(output)[0], output[:, :CLASSES])
    [in_training] = network.train()(images)
    assert torch.equal(in_training, output)


def test_gradients_reach_all_heads_and_the_network(
    make_network: MakeNetwork, images: Tensor, labels: Tensor, make_training: MakeTraining
) -> None:
    network = Variant(rank=RANK).network(make_network()).train()
    assert isinstance(network, StochasticSegmentation)
    loss = Variant(rank=RANK).loss(network(images), labels, make_training(network=network))
    loss.backward()
    of_channels = network.spread.weight.grad.flatten(1).abs().sum(1)
    assert of_channels.shape == (CLASSES * (1 + RANK),)  # diagonal and factor
    assert (of_channels > 0).all()
    for layer in (network.unet.output_block, network.unet.input_block, network.unet.bottleneck):
        assert all(parameter.grad.abs().sum() > 0 for parameter in layer.parameters())


def test_all_samples_of_a_run_come_from_one_draw(
    make_network: MakeNetwork, make_run: Any, images: Tensor
) -> None:
    run = make_run({7: Variant(rank=RANK).network(make_network()).eval})
    [draw] = Method(samples=3).draws(
        [run], PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9), {}
    )
    samples = list(draw.logits(draw.network(images)))
    assert len(samples) == len(draw.samples) == 3
    assert {tuple(logits.shape) for logits in samples} == {(2, CLASSES, 32, 32)}
    assert not torch.equal(samples[0], samples[1])
