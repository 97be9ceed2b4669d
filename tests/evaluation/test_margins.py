"""The margin that a prediction needs in its slices, by hand and beside scipy's distance maps."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from cardiouq.evaluation.surface import HELD, margin_mm

SPACING = (10.0, 2.0, 1.5)
SHAPE = (20, 18)


def box(rows: slice, columns: slice, slices: slice = slice(0, 1)) -> np.ndarray:
    mask = np.zeros((2, *SHAPE), bool)
    mask[slices, rows, columns] = True
    return mask


PREDICTION = box(slice(5, 10), slice(5, 10))


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (PREDICTION, 0),
        (box(slice(6, 8), slice(6, 8)), 0),  # inside
        (box(slice(5, 10), slice(5, 12)), 3),  # two columns beyond
        (box(slice(3, 10), slice(5, 10)), 4),  # two rows beyond
        (box(slice(3, 4), slice(11, 12)), 5),  # 2 rows and 2 columns from the corner
        # the farthest row, 5 of 100 voxels, need not be held
        (box(slice(0, 20), slice(5, 10)), 18),
    ],
)
def test_margin_by_hand(reference: np.ndarray, expected: float) -> None:
    assert margin_mm(PREDICTION, reference, SPACING, SHAPE) == pytest.approx(expected)


def test_a_twentieth_of_the_reference_need_not_be_held() -> None:
    assert HELD == 0.95
    reference = box(slice(0, 10), slice(0, 10))
    prediction = box(slice(0, 10), slice(0, 9))
    prediction[0, :5, 9] = True
    assert margin_mm(prediction, reference, SPACING, SHAPE) == 0  # 5 of 100 are beyond
    prediction[0, 4, 9] = False
    assert margin_mm(prediction, reference, SPACING, SHAPE) == 1.5  # 6 of 100 are


def test_a_slice_without_prediction_is_a_diagonal_away() -> None:
    reference = PREDICTION | box(slice(5, 10), slice(5, 10), slice(1, 2))
    diagonal = np.hypot(19 * 2.0, 17 * 1.5)
    assert margin_mm(PREDICTION, reference, SPACING, SHAPE) == pytest.approx(diagonal)
    # of the image and not of what is cut out of it
    cut = PREDICTION[:, 3:12, 3:12], reference[:, 3:12, 3:12]
    assert margin_mm(*cut, SPACING, SHAPE) == pytest.approx(diagonal)


def test_nothing_to_hold_needs_no_margin() -> None:
    nothing = np.zeros_like(PREDICTION)
    assert margin_mm(PREDICTION, nothing, SPACING, SHAPE) == 0
    assert margin_mm(nothing, nothing, SPACING, SHAPE) == 0


@pytest.mark.parametrize("seed", range(20))
def test_margin_is_the_quantile_of_scipy_s_distances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction, reference = (
        (smooth := gaussian_filter(rng.normal(size=(4, *SHAPE)), (0, 2, 2)))
        > np.quantile(smooth, rng.uniform(0.6, 0.97))
        for _ in range(2)
    )
    distances = []
    for predicted, expected in zip(prediction, reference, strict=True):
        to_prediction = distance_transform_edt(~predicted, sampling=SPACING[1:])
        missing = np.full(SHAPE, np.hypot(19 * 2.0, 17 * 1.5))
        distances.append((to_prediction if predicted.any() else missing)[expected])
    every = np.sort(np.concatenate(distances))
    expected_mm = every[int(np.ceil(0.95 * len(every))) - 1]
    assert margin_mm(prediction, reference, SPACING, SHAPE) == pytest.approx(expected_mm)
    grown = np.stack(
        [
            distance_transform_edt(~predicted, sampling=SPACING[1:]) <= expected_mm + 1e-9
            if predicted.any()
            else predicted
            for predicted in prediction
        ]
    )
    if expected_mm < 40:
        assert (grown & reference).sum() >= 0.95 * reference.sum()
