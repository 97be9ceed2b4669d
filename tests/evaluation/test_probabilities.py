"""Proper scores against scikit-learn, and what is refused as probabilities."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss

from cardiouq.errors import CardiouqError
from cardiouq.evaluation.probabilities import (
    brier_score,
    check_probabilities,
    negative_log_likelihood,
)

SCORES = (negative_log_likelihood, brier_score)
LARGEST_NLL = 24 * np.log(2)

seeds = st.integers(0, 2**32 - 1)


def random_case(seed: int, largest_scale: float) -> tuple[Any, Any]:
    """Softmax of random logits (4, 3, 7, 6), and any reference."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=rng.uniform(0, largest_scale), size=(4, 3, 7, 6))
    return np.exp(logits) / np.exp(logits).sum(0), rng.integers(0, 4, (3, 7, 6), np.uint8)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_scores_agree_with_scikit_learn(seed: int):
    probabilities, reference = random_case(seed, 1.5)
    labels, voxels = reference.ravel(), probabilities.reshape(4, -1).T
    nll, brier = (score(probabilities, reference) for score in SCORES)
    assert nll.shape == brier.shape == reference.shape
    assert nll.mean() == pytest.approx(log_loss(labels, voxels, labels=range(4)))
    assert brier.mean() == pytest.approx(brier_score_loss(labels, voxels, labels=range(4)))


def test_scores_of_a_case_made_by_hand():
    probabilities = np.array([[0.5, 0], [0.25, 1], [0.25, 0]])
    reference = np.array([0, 2])
    nll = negative_log_likelihood(probabilities, reference)
    np.testing.assert_allclose(nll, [np.log(2), LARGEST_NLL])
    # 1/4 + 1/16 + 1/16, and 1 for the wrong class + 1 for the right one
    assert brier_score(probabilities, reference).tolist() == [0.375, 2]


def test_a_stored_zero_counts_as_the_smallest_half_precision_number():
    stored = np.array([[1e-12, 2**-24, 2**-23], [1, 1, 1]], np.float16)
    assert stored[0].tolist() == [0, 2**-24, 2**-23]
    found = negative_log_likelihood(stored, np.zeros(3, int))
    np.testing.assert_allclose(found, np.log(2) * np.array([24, 24, 23]))


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_scores_of_stored_probabilities_stay_in_their_bounds(seed: int):
    probabilities, reference = random_case(seed, 15)
    for score, largest in zip(SCORES, (LARGEST_NLL, 2), strict=True):
        stored = probabilities.astype(np.float16)
        found = score(stored, reference)
        np.testing.assert_array_equal(found, score(stored.astype(np.float64), reference))
        assert (found >= 0).all() and (found <= largest + 2e-3).all()  # sums are rounded too
    sure = (np.arange(4)[:, None, None, None] == reference).astype(np.float16)
    assert [score(sure, reference).max() for score in SCORES] == [0, 0]
    wrong = sure[[1, 2, 3, 0]]
    assert [score(wrong, reference).min() for score in SCORES] == pytest.approx([LARGEST_NLL, 2])


def test_a_probability_rounded_above_one_costs_nothing():
    assert negative_log_likelihood(np.array([[1.001]]), np.array([0])).tolist() == [0]


@settings(max_examples=50, deadline=None)
@given(seeds, st.floats(0, 20))
def test_softmax_stored_in_half_precision_passes(seed: int, scale: float):
    logits = np.random.default_rng(seed).normal(scale=scale, size=(4, 10, 10, 10))
    probabilities = np.exp(logits - logits.max(0))
    probabilities /= probabilities.sum(0)
    check_probabilities(probabilities.astype(np.float16), np.zeros((10, 10, 10), np.uint8))


def test_every_label_and_sure_probabilities_pass():
    reference = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)
    check_probabilities((np.arange(4)[:, None, None, None] == reference) * 1.0, reference)


@pytest.mark.parametrize(
    ("voxel", "says"),
    [
        ([np.nan, 0.5, 0.25, 0.25], ["NaN or infinite"]),
        ([np.inf, 0, 0, 0], ["NaN or infinite"]),
        ([-0.1, 0.6, 0.25, 0.25], ["down to -0.1", "expected 0 to 1"]),
        ([0.4, 0.2, 0.2, 0.1], ["sum to 0.9", "expected 1"]),
        ([0.5, 0.5, 0.01, 0], ["sum to 1.01", "expected 1"]),
        ([0, 0, 0, 0], ["sum to 0", "expected 1"]),
    ],
)
def test_a_single_voxel_without_probabilities_is_an_error(voxel: list[float], says: list[str]):
    probabilities = np.full((4, 2, 3, 3), 0.25)
    probabilities[:, 1, 2, 0] = voxel
    with pytest.raises(CardiouqError) as error:
        check_probabilities(probabilities, np.zeros((2, 3, 3), np.uint8))
    assert all(text in str(error.value) for text in says), error.value


@pytest.mark.parametrize("label", [-1, 4])
def test_a_reference_with_an_unknown_label_is_an_error(label: int):
    reference = np.zeros((2, 3, 3), np.int16)
    reference[1, 2, 0] = label
    with pytest.raises(CardiouqError, match="expected only") as error:
        check_probabilities(np.full((4, 2, 3, 3), 0.25), reference)
    assert f"labels {sorted([0, label])}" in str(error.value)
    assert "[0, 1, 2, 3]" in str(error.value)


@pytest.mark.parametrize("shape", [(4, 2, 3), (4, 2, 3, 2), (2, 3, 3)])
def test_probabilities_of_another_shape_are_an_error(shape: tuple[int, ...]):
    with pytest.raises(CardiouqError, match="do not fit") as error:
        check_probabilities(np.full(shape, 0.25), np.zeros((2, 3, 3), np.uint8))
    assert f"{shape}" in str(error.value) and "(2, 3, 3)" in str(error.value)
