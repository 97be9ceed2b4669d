"""Where nobody annotated there is no loss, in whatever way a method trains, and nothing to fit."""

from collections.abc import Callable
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
from cardiouq.recipes.loss import DeepSupervisionLoss
from cardiouq.recipes.schedule import PolynomialSchedule
from cardiouq.structures import IGNORED, N_CLASSES

BATCH, SIZE = 3, 16
HEADS = (2, N_CLASSES)
SCHEDULE = PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9)
CASES: dict[str, tuple[dict[str, Any] | None, tuple[int, ...]]] = {
    "plain": (None, HEADS),
    "cross_entropy": (None, HEADS),
    "bayes_by_backprop": ({"name": "bayes_by_backprop"}, HEADS),
    "hmc": ({"name": "hmc"}, HEADS),
    "calibrated_ensemble": ({"name": "calibrated_ensemble"}, HEADS),
    "layer_ensemble": ({"name": "layer_ensemble"}, (3 * N_CLASSES,)),
    "stochastic_segmentation": (
        {"name": "stochastic_segmentation", "rank": 2, "samples": 5},
        (4 * N_CLASSES,),
    ),
}
"""Name -> settings of a variant, and the channels of its output in training."""

Case = tuple[Callable[..., Tensor], Tensor]


@pytest.fixture
def labels() -> Tensor:
    """(3, 1, 16, 16) of all classes; of the first image a half, of the last nothing is known."""
    labels = torch.randint(0, 4, (BATCH, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(2))
    labels[0, :, : SIZE // 2] = IGNORED
    labels[2] = IGNORED
    return labels.to(torch.uint8)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, make_network: Any, make_training: Any) -> Case:
    """The loss of an output on labels in a training with a variant, and an output."""
    settings, channels = CASES[request.param]
    variant = build_variant(settings)
    network = variant.network(make_network())

    def loss(output: Tensor, labels: Tensor, *, in_part: bool = True) -> Tensor:
        dice = request.param != "cross_entropy"
        plain = DeepSupervisionLoss(2, dice=dice, in_part=in_part)
        torch.manual_seed(7)
        training = make_training(member=Member(branch=2), network=network, plain_loss=plain)
        return variant.loss(output, labels, training)

    draw = torch.Generator().manual_seed(1)
    return loss, torch.randn(BATCH, *channels, SIZE, SIZE, generator=draw)


def gradient(case: Case, labels: Tensor) -> tuple[float, Tensor]:
    loss, output = case
    output = output.clone().requires_grad_()
    value = loss(output, labels)
    value.backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None
    return float(value.detach()), output.grad


def test_gradient_is_zero_where_nobody_annotated_and_nowhere_else(
    case: Case, labels: Tensor
) -> None:
    value, found = gradient(case, labels)
    assert np.isfinite(value)
    of_pixels = found.flatten(1, -3).abs().sum(1, keepdim=True)
    assert torch.equal(of_pixels > 0, labels != IGNORED)


def test_loss_does_not_depend_on_what_is_predicted_there(case: Case, labels: Tensor) -> None:
    loss, output = case
    ignored = (labels == IGNORED)[:, 0]
    other = output.movedim((0, -2, -1), (0, 1, 2)).clone()
    other[ignored] += torch.randn_like(other[ignored])
    other = other.movedim((1, 2), (-2, -1))
    assert not torch.equal(other, output)
    assert torch.equal(loss(other, labels), loss(output, labels))


def test_a_batch_that_nobody_annotated_moves_nothing(case: Case) -> None:
    value, found = gradient(case, torch.full((BATCH, 1, SIZE, SIZE), IGNORED, dtype=torch.uint8))
    assert np.isfinite(value)
    assert (found == 0).all()


def test_what_is_annotated_everywhere_has_the_loss_that_it_had(case: Case) -> None:
    labels = torch.randint(0, 4, (BATCH, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(2))
    loss, output = case
    found, expected = (loss(output, labels, in_part=known).item() for known in (True, False))
    assert found == pytest.approx(expected, rel=1e-5)


def test_loss_is_that_of_the_annotated_pixels_alone(labels: Tensor) -> None:
    """By hand: Dice over the batch as one without the background, and cross-entropy."""
    logits = torch.randn(
        BATCH, 1, N_CLASSES, SIZE, SIZE, generator=torch.Generator().manual_seed(3)
    )
    known = labels[:, 0].numpy() != IGNORED
    probabilities = np.moveaxis(logits[:, 0].double().softmax(1).numpy(), 1, -1)[known]
    truth = labels[:, 0].numpy()[known]
    nll = -np.log(probabilities[np.arange(len(truth)), truth]).mean()
    dice = [
        2 * probabilities[truth == c, c].sum() / (probabilities[:, c].sum() + (truth == c).sum())
        for c in range(1, N_CLASSES)
    ]
    for with_dice in (True, False):
        loss = DeepSupervisionLoss(1, dice=with_dice, in_part=True)(logits, labels)
        expected = nll + with_dice * (1 - np.mean(dice))
        assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_likelihood_of_an_image_is_that_of_its_annotated_pixels(
    labels: Tensor, make_training: Any
) -> None:
    output = torch.randn(BATCH, 16, SIZE, SIZE, generator=torch.Generator().manual_seed(4))
    plain = DeepSupervisionLoss(1, dice=False, in_part=True)
    torch.manual_seed(5)
    variant = StochasticSegmentation(rank=2, samples=4)
    loss = variant.loss(output, labels, make_training(plain_loss=plain))
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
    cut = torch.as_tensor(np.moveaxis(logits.numpy(), 1, -1)[known]), truth[known]
    for temperature in (0.7, 1.0, 3.0):
        expected = negative_log_likelihood([cut], temperature)
        found = negative_log_likelihood([(logits, truth)], temperature)
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
