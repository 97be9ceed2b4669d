from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from medpy.metric.binary import dc
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from cardiouq.evaluation.overlap import aula, dice, mean_pairwise_dice

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


HEADS = np.array(  # probability of a structure at four voxels, from the shallow head to the deep
    [
        [0.9, 0.1, 0.2, 0.1],
        [0.1, 0.9, 0.1, 0.2],
        [0.2, 0.6, 0.4, 0.1],
        [0.1, 0.7, 0.8, 0.9],
    ]
)[:, None]


def test_aula_of_heads_made_by_hand():
    # Dice of neighbours 0, 1, 1/2, at 0, 1/2 and 1
    assert aula(HEADS > 0.5).tolist() == [(0 + 1) / 4 + (1 + 0.5) / 4]


def test_aula_of_soft_maps_is_refused_as_it_would_be_1():
    # what is not 0 counts as the structure, so all soft maps are alike
    assert [dc(one, other) for one, other in pairwise(HEADS)] == [1, 1, 1]
    assert aula(HEADS > 0) == 1
    with pytest.raises(TypeError):
        aula(HEADS)


def test_aula_depends_on_the_order_of_the_samples():
    masks = HEADS > 0.5
    # Dice of neighbours 1, 1/2, 0 from the second head on, the first one last
    assert aula(masks[[1, 2, 3, 0]]).tolist() == [(1 + 0.5) / 4 + (0.5 + 0) / 4]
    assert mean_pairwise_dice(masks[[1, 2, 3, 0]]) == mean_pairwise_dice(masks)


@pytest.mark.parametrize("heads", [2, 3, 4, 11])
def test_aula_does_not_grow_with_the_number_of_heads(heads: int):
    to_and_fro = np.array([[True, True, False], [False, True, True]])[np.arange(heads) % 2]
    assert aula(to_and_fro[:, None]) == pytest.approx(0.5)


def test_aula_of_one_head_and_of_empty_ones_is_full_agreement():
    assert aula(np.ones((1, PAIRS, *SHAPE), bool)).tolist() == [1] * PAIRS
    assert aula(np.zeros((3, PAIRS, *SHAPE), bool)).tolist() == [1] * PAIRS
