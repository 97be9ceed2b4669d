"""The calibrated ensemble: its biased losses, its calibration, its heat map."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from cardiouq.methods.base import Member, Training
from cardiouq.methods.calibrated_ensemble import Method, Variant, VoteCounts, biased_loss, heat_map
from cardiouq.recipes.loss import count_labels
from cardiouq.recipes.schedule import PolynomialSchedule
from tests.recipes import peers

MakeTraining = Callable[..., Training]

MEMBERS, CLASSES = 3, 4
SCHEDULE = PolynomialSchedule(epochs=8, alpha_0=0.01, epsilon=0.9)
Votes = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def noisy_votes(seed: int) -> Votes:
    """Labels (members, 3, 20, 20) that agree more often than not with a reference (3, 20, 20)."""
    rng = np.random.default_rng(seed)
    reference = rng.integers(0, CLASSES, (3, 20, 20)).astype(np.uint8)
    noise = rng.integers(0, CLASSES, (MEMBERS, 3, 20, 20)).astype(np.uint8)
    right = rng.random((MEMBERS, 3, 20, 20)) < np.array([0.8, 0.6, 0.5]).reshape(-1, 1, 1, 1)
    return np.where(right, reference, noise), reference


@pytest.fixture
def votes() -> Votes:
    return noisy_votes(2)


def counted(votes: Votes) -> VoteCounts:
    counts = VoteCounts(MEMBERS)
    counts.add(*votes)
    return counts


def weighted_cross_entropy(w: float) -> peers.Loss:
    """Mean over pixels, where torch's own weighting would divide by the sum of the weights."""
    weights = torch.tensor([1.0, *[np.exp(-w)] * (CLASSES - 1)], dtype=torch.float64)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(logits, labels[:, 0].long(), weights, reduction="none").mean()

    return loss


def by_library(w: float) -> peers.Loss:
    """The loss of the member w from MONAI's and PyTorch's parts."""
    s = 1 / (1 + np.exp(-w))
    overlap, of_pixels = peers.tversky(s, 1 - s), weighted_cross_entropy(w)
    return lambda logits, labels: overlap(logits, labels) + of_pixels(logits, labels)


@pytest.fixture
def heads() -> list[Tensor]:
    """Logits of two heads of images of 32 x 48, float64."""
    draw = torch.Generator().manual_seed(1)
    sizes = ([size // stride for size in peers.SIZE] for stride in (1, 2))
    return [
        torch.randn(peers.BATCH, CLASSES, *size, generator=draw).double().requires_grad_()
        for size in sizes
    ]


@pytest.mark.parametrize("labels", peers.ANNOTATED.values(), ids=peers.ANNOTATED.keys())
@pytest.mark.parametrize("w", [-3, -1, 0, 2])
def test_loss_and_gradients_are_those_of_the_libraries_with_the_branch_as_bias(
    w: int, labels: Tensor, heads: list[Tensor], make_training: MakeTraining
) -> None:
    ours = Variant().loss(heads, labels, make_training(member=Member(0, 0, 4, branch=w)))
    peers.assert_same(ours, peers.deep_supervision(by_library(w), heads, labels), *heads)


@pytest.mark.parametrize("labels", peers.ANNOTATED.values(), ids=peers.ANNOTATED.keys())
def test_unbiased_member_trains_with_the_plain_loss(
    labels: Tensor, heads: list[Tensor], make_training: MakeTraining
) -> None:
    training = make_training(member=Member(fold=0, folds=4, branch=0))
    loss = Variant().loss(heads, labels, training)
    torch.testing.assert_close(loss, training.plain_loss(heads, labels), rtol=1e-9, atol=0)


@pytest.mark.parametrize("w", [-3, -1, 2])
def test_biased_loss_is_the_formula(w: int, labels: Tensor) -> None:
    logits = torch.randn(2, CLASSES, 32, 32, generator=torch.Generator().manual_seed(1))
    p = logits.double().softmax(1).movedim(1, -1)
    truth = one_hot(labels[:, 0], CLASSES).double()
    s = 1 / (1 + np.exp(-w))
    tversky = []
    for value in range(1, CLASSES):
        hit = (p * truth)[..., value].sum()
        false_positive = (p * (1 - truth))[..., value].sum()
        false_negative = ((1 - p) * truth)[..., value].sum()
        tversky.append(1 - hit / (hit + s * false_positive + (1 - s) * false_negative))
    weights = torch.where(labels[:, 0] > 0, np.exp(-w), 1.0)
    of_voxels = -(p.log() * truth).sum(-1) * weights
    expected = torch.stack(tversky).mean() + of_voxels.mean()
    found = biased_loss(logits, count_labels(labels), w)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_negative_w_pushes_an_uncertain_voxel_in_and_positive_w_out() -> None:
    """Of three voxels the first is certainly of the structure and the last certainly not; that in
    between is of it in one of two images."""
    labels = torch.tensor([[1, 1, 0], [1, 0, 0]]).view(2, 1, 1, 3)
    pulls = []
    for w in (-3, -2, -1, 0, 1, 2, 3):
        uncertain = torch.zeros(2, requires_grad=True)
        evidence = torch.stack([torch.full((2,), 5.0), uncertain, torch.full((2,), -5.0)], dim=1)
        others = torch.full((2, 3), -30.0)
        logits = torch.stack([-evidence / 2, evidence / 2, others, others], dim=1)
        biased_loss(logits[:, :, None], count_labels(labels), w).backward()
        assert uncertain.grad is not None
        pulls.append(-float(uncertain.grad.sum()))
    assert min(pulls[:3]) > 0 > max(pulls[4:])
    assert pulls == sorted(pulls, reverse=True)


def test_frequency_by_count_is_that_of_a_loop_over_voxels(votes: Votes) -> None:
    labels, reference = votes
    frequency = counted(votes).by_count()
    for value in range(CLASSES):
        for count in range(1, MEMBERS + 1):
            hits = [
                reference[voxel] == value
                for voxel in np.ndindex(reference.shape)
                if sum(label == value for label in labels[:, *voxel]) == count
            ]
            assert len(hits) > 10
            assert frequency[value, count] == pytest.approx(np.mean(hits))
        assert frequency[value, 0] == 0


def test_coefficients_by_pattern_are_least_squares_over_voxels(votes: Votes) -> None:
    labels, reference = votes
    coefficients = counted(votes).by_pattern()
    for value in range(CLASSES):
        cast = (labels == value).reshape(MEMBERS, -1).T.astype(float)
        seen = cast.any(1)
        truth = (reference == value).ravel().astype(float)
        expected, *_ = np.linalg.lstsq(cast[seen], truth[seen])
        np.testing.assert_allclose(coefficients[value], expected, atol=1e-9)


def test_votes_of_several_cases_add_up(votes: Votes) -> None:
    labels, reference = votes
    in_pieces = VoteCounts(MEMBERS)
    for section in range(3):
        in_pieces.add(labels[:, section], reference[section])
    np.testing.assert_array_equal(in_pieces.by_count(), counted(votes).by_count())
    np.testing.assert_array_equal(in_pieces.by_pattern(), counted(votes).by_pattern())


def test_votes_never_seen_are_taken_at_their_word() -> None:
    """Members that always agree on 0 or 1, rightly three times of four, and never vote for 2."""
    reference = np.array([1, 1, 1, 0, 0, 0, 0, 0], np.uint8)
    labels = np.stack([np.array([1, 1, 1, 1, 0, 0, 0, 0], np.uint8)] * MEMBERS)
    counts = VoteCounts(MEMBERS)
    counts.add(labels, reference)
    np.testing.assert_allclose(counts.by_count()[1], [0, 1 / 3, 2 / 3, 3 / 4])
    np.testing.assert_allclose(counts.by_count()[2], [0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(counts.by_pattern()[1], [1 / 4] * 3)  # shared evenly
    np.testing.assert_array_equal(counts.by_pattern()[2], [0, 0, 0])


@pytest.mark.parametrize("calibration", ["count", "pattern"])
def test_heat_map_is_a_distribution(calibration: str, votes: Votes) -> None:
    counts = counted(noisy_votes(3))
    coefficients = counts.by_count() if calibration == "count" else counts.by_pattern()
    for scale in (1, 3):  # also where the structures' coefficients ask for more than all
        heat = heat_map(votes[0], scale * coefficients, calibration)
        assert heat.shape == (CLASSES, 3, 20, 20)
        assert heat.dtype == np.float32
        assert (heat >= 0).all()
        np.testing.assert_allclose(heat.sum(0), 1, atol=1e-6)


# columns are voxels: all for 1; two for 1, one for 2; one each for 1, 2, 3; none for a structure
LABELS = np.array([[1, 1, 1, 0], [1, 1, 2, 0], [1, 2, 3, 0]], np.uint8)


def test_heat_map_by_count_worked_out_by_hand() -> None:
    frequency = np.array([[0, 0.5, 0.5, 0.9], [0, 0.2, 0.7, 0.9], [0, 0.1, 0.5, 1], [0, 0.9, 1, 1]])
    expected = [
        [0.1, 0.2, 0.0, 1.0],
        [0.9, 0.7, 0.2 / 1.2, 0.0],
        [0.0, 0.1, 0.1 / 1.2, 0.0],
        [0.0, 0.0, 0.9 / 1.2, 0.0],
    ]
    np.testing.assert_allclose(heat_map(LABELS, frequency, "count"), expected, atol=1e-6)


def test_heat_map_by_pattern_worked_out_by_hand() -> None:
    """By member, so that the second voxel's votes for 1 count by who casts them."""
    coefficients = np.array([[0.5, 0.5, 0.5], [0.3, 0.1, 0.4], [0.2, 0.2, 0.6], [-0.2, 0.3, 0.1]])
    expected = [
        [0.2, 0.0, 0.4, 1.0],
        [0.8, 0.4, 0.3, 0.0],
        [0.0, 0.6, 0.2, 0.0],
        [0.0, 0.0, 0.1, 0.0],
    ]
    np.testing.assert_allclose(heat_map(LABELS, coefficients, "pattern"), expected, atol=1e-6)
    coefficients[3, 2] = -0.1  # a negative sum is no probability
    heat = heat_map(LABELS, coefficients, "pattern")
    np.testing.assert_allclose(heat[:, 2], [0.5, 0.3, 0.2, 0.0], atol=1e-6)


def as_output(labels: NDArray[np.uint8]) -> Tensor:
    """Logits (slices, classes, rows, columns) of which the argmax is these labels."""
    return 5 * one_hot(torch.from_numpy(labels).long(), CLASSES).movedim(-1, 1).float()


@pytest.mark.parametrize("calibration", ["count", "pattern"])
def test_calibration_is_fitted_on_each_fold_s_own_votes(calibration: Any, make_run: Any) -> None:
    """Networks pass on their input, which stands for what they output on a held-out case."""
    method = Method(w=(-1, 0, 1), folds=2, calibration=calibration)
    members = method.members()
    assert members == [Member(0, fold, 2, w) for fold in (0, 1) for w in (-1, 0, 1)]
    of_folds = [noisy_votes(4), noisy_votes(5)]
    runs = [
        make_run(
            {7: torch.nn.Identity},
            member,
            [(as_output(of_folds[member.fold][0][index % 3]), of_folds[member.fold][1])],
        )
        for index, member in enumerate(members)
    ]
    both = VoteCounts(MEMBERS)
    for labels, reference in of_folds:
        both.add(labels, reference)
    expected = both.by_count() if calibration == "count" else both.by_pattern()
    fitted = method.fit(runs, SCHEDULE)
    np.testing.assert_allclose(fitted[calibration], expected)
    assert fitted["w"].tolist() == [-1, 0, 1]
    labels = of_folds[0][0]
    heat = method.combine(np.zeros((CLASSES, *labels.shape[1:]), np.float32), labels, fitted)
    np.testing.assert_array_equal(heat, heat_map(labels, fitted[calibration], calibration))


def constant(logits: Tensor) -> Callable[[], Callable[[Tensor], Tensor]]:
    """Makes networks of which the output is the same for every image."""
    return lambda: lambda images: logits.expand(len(images), -1, -1, -1)


def test_a_sample_is_a_member_w_and_the_mean_over_its_folds(make_run: Any, images: Tensor) -> None:
    method = Method(w=(-1, 1), folds=2)
    draw = torch.Generator().manual_seed(6)
    outputs = {
        str(m): 3 * torch.randn(1, CLASSES, 32, 32, generator=draw) for m in method.members()
    }
    runs = [make_run({7: constant(outputs[str(m)])}, m) for m in method.members()]
    draws = list(method.draws(runs, SCHEDULE, {}))
    assert [s.member for d in draws for s in d.samples] == [
        Member(folds=2, branch=w) for w in (-1, 1)
    ]
    for w, drawn in zip((-1, 1), draws, strict=True):
        [logits] = drawn.logits(drawn.network(images))
        mean = sum(outputs[str(Member(0, fold, 2, w))].softmax(1) for fold in (0, 1)) / 2
        torch.testing.assert_close(logits.softmax(1), mean.expand(2, -1, -1, -1))
