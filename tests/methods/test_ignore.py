"""Where nobody annotated there is no loss, in whatever way a method trains, and nothing to fit."""

from collections.abc import Callable
from operator import methodcaller
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cardiouq.methods import build_variant
from cardiouq.methods.base import Member
from cardiouq.methods.calibrated_ensemble import VoteCounts
from cardiouq.methods.single import Method as Single
from cardiouq.methods.single import negative_log_likelihood
from cardiouq.methods.stochastic_segmentation import Variant as StochasticSegmentation
from cardiouq.methods.stochastic_segmentation import sample_logits
from cardiouq.recipes.loss import HEAD_LOSSES, DeepSupervisionLoss, cross_entropy
from cardiouq.recipes.schedule import PolynomialSchedule
from cardiouq.structures import IGNORED, N_CLASSES

BATCH, SIZE = 3, 16
PLAIN = [(N_CLASSES, 16), (N_CLASSES, 8)]
SCHEDULE = PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9)
CASES: dict[str, tuple[dict[str, Any] | None, list[tuple[int, int]]]] = {
    "plain": (None, PLAIN),
    "cross_entropy": (None, PLAIN),
    "nacl": (None, PLAIN),
    "dice_cross_entropy_ace": (None, PLAIN),
    "bayes_by_backprop": ({"name": "bayes_by_backprop"}, PLAIN),
    "hmc": ({"name": "hmc"}, PLAIN),
    "calibrated_ensemble": ({"name": "calibrated_ensemble"}, PLAIN),
    "evidential": ({"name": "evidential"}, PLAIN),
    "layer_ensemble": ({"name": "layer_ensemble"}, [(N_CLASSES, 16)] * 3),
    "stochastic_segmentation": (
        {"name": "stochastic_segmentation", "rank": 2, "samples": 5},
        [(4 * N_CLASSES, 16)],
    ),
}
"""Name -> settings of a variant, and channels and side of each head of its output in training."""

Case = tuple[Callable[..., Tensor], list[Tensor]]


@pytest.fixture
def labels() -> Tensor:
    """(3, 1, 16, 16) of all classes; of the first image a half and some pixels, of the last nothing
    is known."""
    labels = torch.randint(0, 4, (BATCH, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(2))
    labels[0, :, : SIZE // 2] = IGNORED
    labels[0, :, ::3, ::5] = IGNORED
    labels[2] = IGNORED
    return labels.to(torch.uint8)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, make_network: Any, make_training: Any) -> Case:
    """The loss of heads on labels in a training with a variant, and heads."""
    settings, sizes = CASES[request.param]
    variant = build_variant(settings)
    network = variant.network(make_network())
    name = request.param if request.param in HEAD_LOSSES else "dice_cross_entropy"
    training = make_training(
        member=Member(branch=2),
        network=network,
        plain_loss=DeepSupervisionLoss(2, HEAD_LOSSES[name]),
    )

    def loss(heads: list[Tensor], labels: Tensor) -> Tensor:
        torch.manual_seed(7)
        return variant.loss(heads, labels, training)

    draw = torch.Generator().manual_seed(1)
    return loss, [torch.randn(BATCH, channels, n, n, generator=draw) for channels, n in sizes]


def gradients(case: Case, labels: Tensor) -> tuple[float, list[Tensor]]:
    loss, heads = case
    heads = [head.clone().requires_grad_() for head in heads]
    value = loss(heads, labels)
    return float(value.detach()), list(torch.autograd.grad(value, heads))


def known_cells(labels: Tensor, head: Tensor) -> Tensor:
    """Where any of the pixels that a head's cell covers is annotated, (batch, rows, columns)."""
    side = SIZE // head.shape[-1]
    cells = labels[:, 0].unfold(1, side, side).unfold(2, side, side)
    return (cells != IGNORED).flatten(3).any(3)


def test_gradient_is_zero_where_nobody_annotated_and_nowhere_else(
    case: Case, labels: Tensor
) -> None:
    value, found = gradients(case, labels)
    assert np.isfinite(value)
    for gradient in found:
        assert torch.equal(gradient.abs().sum(1) > 0, known_cells(labels, gradient))


def test_loss_does_not_depend_on_what_is_predicted_there(case: Case, labels: Tensor) -> None:
    loss, heads = case
    others = [
        torch.where(known_cells(labels, head)[:, None], head, head + torch.randn_like(head))
        for head in heads
    ]
    assert not any(torch.equal(a, b) for a, b in zip(heads, others, strict=True))
    assert torch.equal(loss(heads, labels), loss(others, labels))


def test_a_batch_that_nobody_annotated_moves_nothing(case: Case) -> None:
    value, found = gradients(case, torch.full((BATCH, 1, SIZE, SIZE), IGNORED, dtype=torch.uint8))
    assert np.isfinite(value)
    assert all((gradient == 0).all() for gradient in found)


def test_loss_is_that_of_the_annotated_pixels_alone(labels: Tensor) -> None:
    """By hand: Dice over the batch as one without the background, and cross-entropy."""
    logits = torch.randn(BATCH, N_CLASSES, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    known = labels[:, 0].numpy() != IGNORED
    probabilities = np.moveaxis(logits.double().softmax(1).numpy(), 1, -1)[known]
    truth = labels[:, 0].numpy()[known]
    nll = -np.log(probabilities[np.arange(len(truth)), truth]).mean()
    dice = [
        2 * probabilities[truth == c, c].sum() / (probabilities[:, c].sum() + (truth == c).sum())
        for c in range(1, N_CLASSES)
    ]
    for name, expected in {
        "dice_cross_entropy": nll + 1 - np.mean(dice),
        "cross_entropy": nll,
    }.items():
        loss = DeepSupervisionLoss(1, HEAD_LOSSES[name])([logits], labels)
        assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_likelihood_of_an_image_is_that_of_its_annotated_pixels(
    labels: Tensor, make_training: Any
) -> None:
    output = torch.randn(BATCH, 16, SIZE, SIZE, generator=torch.Generator().manual_seed(4))
    plain = DeepSupervisionLoss(1, cross_entropy)
    torch.manual_seed(5)
    variant = StochasticSegmentation(rank=2, samples=4)
    loss = variant.loss([output], labels, make_training(plain_loss=plain))
    torch.manual_seed(5)
    log_p = sample_logits(output, 4).double().log_softmax(2).numpy()
    total, pixels = 0.0, 0
    for image in range(BATCH):
        rows, columns = np.nonzero(labels[image, 0].numpy() != IGNORED)
        truth = labels[image, 0].numpy()[rows, columns]
        of_samples = log_p[:, image, truth, rows, columns].sum(1)
        total += np.logaddexp.reduce(of_samples) - np.log(4)
        pixels += len(truth)
    assert float(loss) == pytest.approx(-total / pixels, rel=1e-5)


def held_out(labels: Tensor) -> tuple[Tensor, Any]:
    """Logits (3, 4, 16, 16) that agree with labels more often than not, and the labels."""
    draw = torch.Generator().manual_seed(6)
    guess = torch.nn.functional.one_hot((labels[:, 0] % N_CLASSES).long(), N_CLASSES)
    noise = torch.randn(BATCH, SIZE, SIZE, N_CLASSES, generator=draw)
    return (guess + 2 * noise).movedim(-1, 1), labels[:, 0].numpy()


def test_a_temperature_is_fitted_to_annotated_voxels(labels: Tensor, make_run: Any) -> None:
    logits, truth = held_out(labels)
    known = truth != IGNORED
    voxels = np.moveaxis(logits.numpy(), 1, -1)[known]
    cut = torch.as_tensor(voxels)[..., None, None], truth[known][:, None, None]
    for temperature in (0.7, 1.0, 3.0):
        divided = methodcaller("div", temperature)
        expected = negative_log_likelihood([cut], divided)
        found = negative_log_likelihood([(logits, truth)], divided)
        assert found == pytest.approx(expected, rel=1e-6)
    temperatures = [
        Single(temperature="fitted").fit(
            [make_run({7: lambda: lambda x: x}, cases=[pair])], SCHEDULE
        )
        for pair in ((logits, truth), cut)
    ]
    assert temperatures[0]["temperature"] == pytest.approx(temperatures[1]["temperature"], rel=5e-3)
    assert 0.2 < temperatures[0]["temperature"] < 9


def test_votes_are_counted_where_someone_annotated(labels: Tensor) -> None:
    truth = labels[:, 0].numpy()
    votes = np.random.default_rng(8).integers(0, N_CLASSES, (3, *truth.shape)).astype(np.uint8)
    found, expected = VoteCounts(3), VoteCounts(3)
    found.add(votes, truth)
    expected.add(votes[:, truth != IGNORED], truth[truth != IGNORED])
    np.testing.assert_array_equal(found.voxels, expected.voxels)
    np.testing.assert_array_equal(found.of_class, expected.of_class)
    assert found.voxels.sum() == N_CLASSES * (truth != IGNORED).sum()
