import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from cardiouq.evaluation.overlap import dice

SHAPE = (2, 3, 4)
masks = arrays(np.bool_, SHAPE)


@given(masks, masks)
def test_agrees_with_the_f1_score(prediction: NDArray[np.bool_], reference: NDArray[np.bool_]):
    expected = f1_score(reference.ravel(), prediction.ravel(), zero_division=1.0)
    assert dice(prediction, reference) == pytest.approx(expected)


@given(masks, masks, st.permutations(range(3)))
def test_is_symmetric_bounded_and_blind_to_axis_order(
    prediction: NDArray[np.bool_], reference: NDArray[np.bool_], axes: list[int]
):
    score = dice(prediction, reference)
    assert 0 <= score <= 1
    assert score == dice(reference, prediction)
    assert score == dice(prediction.transpose(axes), reference.transpose(axes))


def test_empty_masks():
    empty, full = np.zeros(SHAPE, bool), np.ones(SHAPE, bool)
    assert dice(empty, empty) == 1
    assert dice(empty, full) == 0
    assert dice(full, empty) == 0
