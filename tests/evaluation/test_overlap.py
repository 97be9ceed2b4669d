from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from cardiouq.evaluation.overlap import dice, mean_pairwise_dice

Masks = NDArray[np.bool_]

PAIRS = 3
SHAPE = (2, 3, 4)
masks = arrays(np.bool_, (PAIRS, *SHAPE))


@given(masks, masks)
def test_agrees_with_the_f1_score(predictions: Masks, references: Masks):
    expected = [
        f1_score(reference.ravel(), prediction.ravel(), zero_division=1.0)
        for prediction, reference in zip(predictions, references, strict=True)
    ]
    np.testing.assert_allclose(dice(predictions, references), expected)


@given(masks, masks, st.permutations(range(1, 4)))
def test_is_symmetric_bounded_and_blind_to_axis_order(
    predictions: Masks, references: Masks, axes: list[int]
):
    scores = dice(predictions, references)
    assert scores.shape == (PAIRS,)
    assert (scores >= 0).all() and (scores <= 1).all()
    np.testing.assert_array_equal(scores, dice(references, predictions))
    turned = dice(predictions.transpose(0, *axes), references.transpose(0, *axes))
    np.testing.assert_array_equal(scores, turned)


@given(masks, arrays(np.bool_, (1, *SHAPE)))
def test_one_reference_serves_many_predictions(predictions: Masks, reference: Masks):
    repeated = np.repeat(reference, PAIRS, axis=0)
    np.testing.assert_array_equal(dice(predictions, reference), dice(predictions, repeated))


def test_empty_masks():
    empty, full = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
    predictions, references = np.stack([empty, empty, full]), np.stack([empty, full, empty])
    assert dice(predictions, references).tolist() == [1, 0, 0]


@given(st.integers(2, 5).flatmap(lambda n: arrays(np.bool_, (n, PAIRS, *SHAPE))))
def test_mean_pairwise_dice_is_the_mean_over_all_pairs_of_samples(samples: Masks):
    expected = np.mean([dice(one, other) for one, other in combinations(samples, 2)], axis=0)
    np.testing.assert_allclose(mean_pairwise_dice(samples), expected)


def test_mean_pairwise_dice_of_large_masks_counts_every_voxel():
    samples = np.ones((2, 1, 3000, 3000), bool)
    samples[1, 0, 0, 0] = False  # one voxel of nine million
    assert mean_pairwise_dice(samples) == pytest.approx(1 - 1 / (2 * 9e6 - 1), rel=1e-12)


def test_a_single_sample_agrees_with_itself():
    assert mean_pairwise_dice(np.zeros((1, PAIRS, *SHAPE), bool)).tolist() == [1] * PAIRS
    assert mean_pairwise_dice(np.ones((1, PAIRS, *SHAPE), bool)).tolist() == [1] * PAIRS


def test_samples_that_are_all_empty_agree():
    assert mean_pairwise_dice(np.zeros((4, PAIRS, *SHAPE), bool)).tolist() == [1] * PAIRS


def test_a_structure_found_by_one_sample_of_three_counts_as_one_pair_that_agrees():
    samples = np.zeros((3, 1, *SHAPE), bool)
    samples[0] = True
    assert mean_pairwise_dice(samples) == pytest.approx(1 / 3)
