"""Evidential segmentation: the loss that a Dirichlet is trained by, and the samples of one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Dirichlet, kl_divergence

from cardiouq.methods.base import Training
from cardiouq.methods.evidential import Method, Variant, concentration, sample_evidence
from cardiouq.recipes.loss import HEAD_LOSSES, DeepSupervisionLoss
from cardiouq.recipes.network import UNet
from cardiouq.recipes.schedule import PolynomialSchedule
from cardiouq.structures import N_CLASSES
from tests.recipes import peers

MakeNetwork = Callable[..., UNet]
MakeTraining = Callable[..., Training]
EVERY_ANNOTATION = pytest.mark.parametrize(
    "labels", peers.ANNOTATED.values(), ids=peers.ANNOTATED.keys()
)
SHARPNESS = {"without evidence": 0.0, "unsure": 2.0, "sure": 40.0}


@pytest.fixture
def heads() -> list[Tensor]:
    """Outputs of three heads, (3, 4, 32, 48) float64 and halves and quarters of it."""
    draw = torch.Generator().manual_seed(1)
    shapes = [(peers.BATCH, N_CLASSES, *(n // 2**head for n in peers.SIZE)) for head in range(3)]
    return [(3 * torch.randn(s, generator=draw).double()).requires_grad_() for s in shapes]


@pytest.fixture(params=SHARPNESS)
def alpha(request: pytest.FixtureRequest) -> Tensor:
    """Parameters (2, 4, 32, 32) of Dirichlets that are flat, broad or sharp."""
    draw = torch.randn(2, N_CLASSES, 32, 32, generator=torch.Generator().manual_seed(4))
    return concentration(SHARPNESS[request.param] * draw - 100 * (request.param[0] == "w"))


def by_torch_s_distributions(kl_weight: float) -> peers.Loss:
    """Expected cross-entropy and KL term of every pixel, each true class taken for itself, and
    MONAI's Dice of the mean."""

    def loss(output: Tensor, labels: Tensor) -> Tensor:
        alpha = (output.clamp(max=10).exp() + 1).movedim(1, -1)
        truth = labels[:, 0].long()
        strength = alpha.sum(-1)
        of_truth = alpha.gather(-1, truth[..., None])[..., 0]
        surprise = torch.digamma(strength) - torch.digamma(of_truth)
        misleading = alpha.scatter(-1, truth[..., None], 1.0)
        divergence = kl_divergence(Dirichlet(misleading), Dirichlet(torch.ones_like(misleading)))
        dice = peers.DICE((alpha / strength[..., None]).log().movedim(-1, 1), labels)
        return (surprise + kl_weight * divergence).mean() + dice

    return loss


@EVERY_ANNOTATION
@pytest.mark.parametrize(
    ("progress", "kl_weight"), [(0.0, 0.0), (0.1, 0.4), (0.25, 1.0), (0.9, 1.0)]
)
def test_loss_is_that_of_torch_s_distributions_at_full_resolution(
    labels: Tensor,
    progress: float,
    kl_weight: float,
    heads: list[Tensor],
    make_training: MakeTraining,
) -> None:
    training = make_training(
        plain_loss=DeepSupervisionLoss(3), progress=torch.tensor(progress, dtype=torch.float64)
    )
    ours = Variant(kl_weight=1.0, annealing=0.25).loss(heads, labels, training)
    theirs = peers.deep_supervision(by_torch_s_distributions(kl_weight), heads, labels)
    peers.assert_same(ours, theirs, *heads)


def test_expected_cross_entropy_is_that_of_many_draws(make_training: MakeTraining) -> None:
    draw = torch.Generator().manual_seed(3)
    output = torch.randn(1, N_CLASSES, 2, 3, generator=draw).double()
    labels = torch.randint(0, N_CLASSES, (1, 1, 2, 3), generator=draw)
    training = make_training(plain_loss=DeepSupervisionLoss(1, HEAD_LOSSES["cross_entropy"]))
    loss = Variant(kl_weight=0.0).loss([output], labels, training)
    torch.manual_seed(5)
    probabilities = Dirichlet(concentration(output).movedim(1, -1)).sample(torch.Size([20_000]))
    surprise = -Categorical(probs=probabilities).log_prob(labels[:, 0]).flatten(1).mean(1)
    error = float(surprise.std() / len(surprise) ** 0.5)
    assert float(loss) == pytest.approx(float(surprise.mean()), abs=5 * error)


def test_dice_term_is_left_out_where_the_loss_is_cross_entropy(
    heads: list[Tensor], make_training: MakeTraining
) -> None:
    labels = peers.ANNOTATED["whole"]
    losses = [
        Variant().loss(
            heads[:1], labels, make_training(plain_loss=DeepSupervisionLoss(1, HEAD_LOSSES[name]))
        )
        for name in ("dice_cross_entropy", "cross_entropy")
    ]
    term = peers.DICE(concentration(heads[0]).log(), labels)
    assert (losses[0] - losses[1]).item() == pytest.approx(term.item(), rel=1e-6)


def test_curves_are_of_the_dirichlet_s_mean() -> None:
    output = torch.randn(2, N_CLASSES, 8, 8, generator=torch.Generator().manual_seed(6))
    alpha = output.exp() + 1
    [logits] = Variant().logits(output)
    torch.testing.assert_close(logits.softmax(1), alpha / alpha.sum(1, keepdim=True))


@pytest.mark.parametrize("samples", [1, 2, 10])
def test_mean_of_the_samples_is_the_dirichlet_s_whatever_is_drawn(
    alpha: Tensor, samples: int
) -> None:
    torch.manual_seed(7)
    probabilities = sample_evidence(alpha, samples).log().softmax(2)
    assert probabilities.shape == (samples, 2, N_CLASSES, 32, 32)
    mean = alpha / alpha.sum(1, keepdim=True)
    torch.testing.assert_close(probabilities.mean(0), mean, atol=1e-6, rtol=0)
    # and without what is done about it, it would be another
    plain = Dirichlet(alpha.movedim(1, -1)).sample(torch.Size([samples])).movedim(-1, 2)
    assert (plain.mean(0) - mean).abs().max() > 0.01


def entropy(probabilities: Tensor) -> Tensor:
    return torch.special.entr(probabilities).sum(-3)


@pytest.mark.parametrize("samples", [10, 200])
def test_mutual_information_of_the_samples_is_the_dirichlet_s(alpha: Tensor, samples: int) -> None:
    """Less its n-th part, by which n samples underestimate a variance about their own mean."""
    torch.manual_seed(8)
    probabilities = sample_evidence(alpha, samples).double().log().softmax(2)
    found = (entropy(probabilities.mean(0)) - entropy(probabilities).mean(0)).mean()
    mean = alpha / alpha.sum(1, keepdim=True)
    expected_entropy = -(mean * ((alpha + 1).digamma() - (alpha.sum(1, True) + 1).digamma())).sum(1)
    expected = (entropy(mean) - expected_entropy).mean() * (1 - 1 / samples)
    assert found.item() == pytest.approx(expected.item(), rel=0.03)


def test_energy_of_a_sample_is_the_dirichlet_s_strength(alpha: Tensor) -> None:
    logits = sample_evidence(alpha, 3).log()
    expected = alpha.sum(1).log().expand(3, -1, -1, -1)
    torch.testing.assert_close(logits.logsumexp(2), expected, atol=1e-5, rtol=0)


def test_all_samples_of_a_run_come_from_one_draw(
    make_network: MakeNetwork, make_run: Any, images: Tensor
) -> None:
    run = make_run({7: make_network})
    schedule = PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9)
    [draw] = Method(samples=3).draws([run], schedule, {})
    samples = list(draw.logits(draw.network(images)))
    assert len(samples) == len(draw.samples) == 3
    assert {tuple(logits.shape) for logits in samples} == {(2, N_CLASSES, 32, 32)}
    assert not torch.equal(samples[0], samples[1])
