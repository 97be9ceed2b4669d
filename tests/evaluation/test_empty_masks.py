import numpy as np
import pytest

from cardiouq.evaluation.empty_masks import diagonal_mm, settle_empty

PREDICTED = np.array([5, 0, 5, 0])
EXPECTED = np.array([7, 7, 0, 0])


def test_two_empty_masks_are_perfect_and_a_single_one_is_worst():
    values = np.array([0.3, 0.3, 0.3, 0.3])
    settled = settle_empty(values, PREDICTED, EXPECTED, perfect=1, worst=0)
    assert settled.tolist() == [0.3, 0, 0, 1]


@pytest.mark.parametrize("unusable", [np.nan, np.inf])
def test_what_a_metric_makes_of_empty_masks_does_not_matter(unusable: float):
    values = np.array([2.5, unusable, unusable, unusable])
    settled = settle_empty(values, PREDICTED, EXPECTED, perfect=0, worst=100)
    assert settled.tolist() == [2.5, 100, 100, 0]


def test_the_values_given_stay_as_they_are():
    values = np.array([2.5, 1, 1, 1])
    settle_empty(values, PREDICTED, EXPECTED, perfect=0, worst=100)
    assert values.tolist() == [2.5, 1, 1, 1]


@pytest.mark.parametrize(
    ("shape", "spacing", "expected"),
    [
        ((4, 5), (1, 1), 5),  # between centres of voxels: 3 and 4 steps
        ((4, 5), (2, 2), 10),
        ((1, 4, 5), (10, 1, 1), 5),  # a single slice has no depth
        ((2, 3, 2), (1, 1, 2), 3),
        ((1, 1), (1.4, 1.4), 0),
    ],
)
def test_the_diagonal_joins_the_centres_of_opposite_corners(
    shape: tuple[int, ...], spacing: tuple[float, ...], expected: float
):
    assert diagonal_mm(shape, spacing) == pytest.approx(expected)


def test_a_spacing_of_another_number_of_axes_is_an_error():
    with pytest.raises(ValueError):
        diagonal_mm((10, 256, 216), (1.4, 1.4))
