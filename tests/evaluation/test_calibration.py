from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

from cardiouq.errors import CardiouqError
from cardiouq.evaluation.calibration import (
    confidence_bins,
    expected_calibration_error_of_bins,
    foreground_box,
)


def random_case(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities (4, 3, 7, 6) from sharp to vague, and a reference drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=rng.uniform(0.5, 6), size=(4, 3, 7, 6))
    probabilities = np.exp(logits) / np.exp(logits).sum(0)
    drawn = rng.random(probabilities.shape[1:]) > probabilities.cumsum(0)
    return probabilities, np.minimum(drawn.sum(0), 3)


def of_confidences(confidences: list[float], right: list[bool]) -> pd.DataFrame:
    """Bins of voxels in a row whose most probable class is 1, with the given confidences."""
    confidence = np.array(confidences, dtype=np.float64).reshape(1, 1, -1)
    probabilities = np.stack([1 - confidence, confidence])
    reference = np.where(right, 1, 2).reshape(1, 1, -1)
    return confidence_bins(probabilities, reference)


def test_error_of_a_case_made_by_hand():
    bins = of_confidences([0.605, 0.605, 0.955, 0.955, 0.955], [True, False, True, True, False])
    assert bins["bin"].tolist() == [61, 96]
    assert bins["voxels"].tolist() == [2, 3]
    assert bins["correct"].tolist() == [1, 2]
    np.testing.assert_allclose(bins["confidence"], [1.21, 2.865])
    # 2/5 |1/2 - .605| + 3/5 |2/3 - .955|
    error = expected_calibration_error_of_bins(bins.assign(case="a"), "voxels")
    assert error == pytest.approx(0.4 * 0.105 + 0.6 * (0.955 - 2 / 3))


@pytest.mark.parametrize("bins", [3, 10, 100])
def test_bins_are_closed_on_the_right_at_every_edge(bins: int):
    # Two classes: the top label's confidence is at least one half.
    for upper in range(bins // 2 + 1, bins + 1):
        for confidence, expected in (
            (upper / bins, upper),
            (np.nextafter(upper / bins, 0), upper),
            (np.nextafter(upper / bins, 2), min(upper + 1, bins)),
        ):
            probabilities = np.array([0, confidence]).reshape(2, 1, 1, 1)
            found = confidence_bins(probabilities, np.ones((1, 1, 1), int), bins=bins)
            assert found["bin"].tolist() == [expected], (confidence, upper)


def test_half_precision_is_binned_by_its_exact_value():
    values = np.arange(0.5, 1, 2**-11, dtype=np.float16)
    probabilities = np.stack([np.zeros_like(values), values]).reshape(2, 1, 1, -1)
    bins = confidence_bins(probabilities, np.ones((1, 1, len(values)), int))
    # Exact integer arithmetic: these values are k / 2048.
    numerators = np.arange(1024, 2048)
    expected, counts = np.unique(-(-numerators * 100 // 2048), return_counts=True)
    assert bins["bin"].tolist() == expected.tolist()
    assert bins["voxels"].tolist() == counts.tolist()
    assert bins["confidence"].sum() == numerators.sum() / 2048


def independent_error(
    probabilities: NDArray[np.float64], reference: NDArray[np.int64], bins: int
) -> float:
    """Expected calibration error over the whole volume by scikit-learn's reliability diagram,
    with the shares of voxels by numpy's own binning."""
    confidence = probabilities.max(0).ravel()
    correct = (probabilities.argmax(0) == reference).ravel()
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=bins)
    edges = np.linspace(0, 1, bins + 1)
    counts = np.unique(np.digitize(confidence, edges, right=True), return_counts=True)[1]
    return float(np.average(np.abs(accuracy - mean_confidence), weights=counts))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 15, 100]))
def test_agrees_with_scikit_learn_and_numpy(seed: int, bins: int):
    probabilities, reference = random_case(seed)
    whole = confidence_bins(probabilities, reference, bins=bins, margin=10)
    error = expected_calibration_error_of_bins(whole.assign(case="a"), "voxels")
    assert error == pytest.approx(independent_error(probabilities, reference, bins))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_sums_are_those_of_the_voxels(seed: int):
    probabilities, reference = random_case(seed)
    bins = confidence_bins(probabilities, reference, margin=10)
    assert bins["voxels"].sum() == reference.size
    assert bins["correct"].sum() == (probabilities.argmax(0) == reference).sum()
    assert bins["confidence"].sum() == pytest.approx(probabilities.max(0).sum())
    assert (bins["correct"] <= bins["voxels"]).all()
    mean = bins["confidence"] / bins["voxels"]
    assert (mean <= bins["bin"] / 100 + 1e-12).all()
    assert (mean > (bins["bin"] - 1) / 100 - 1e-12).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True))
def test_pooling(seeds: list[int]):
    cases = [random_case(seed) for seed in seeds]
    bins = pd.concat(
        confidence_bins(*case, margin=10).assign(case=str(i)) for i, case in enumerate(cases)
    )
    # Pooling the voxels is one volume made of all of them.
    stacked = confidence_bins(
        np.concatenate([probabilities for probabilities, _ in cases], axis=1),
        np.concatenate([reference for _, reference in cases]),
        margin=20,
    ).assign(case="all")
    pooled = expected_calibration_error_of_bins(bins, "voxels")
    assert pooled == pytest.approx(expected_calibration_error_of_bins(stacked, "volumes"))
    per_volume = [independent_error(*case, bins=100) for case in cases]
    mean = expected_calibration_error_of_bins(bins, "volumes")
    assert mean == pytest.approx(np.mean(per_volume))
    # Cases of one size: misfits of opposite sign can only cancel when the voxels are pooled.
    assert pooled <= mean + 1e-12


def test_pooled_voxels_cancel_what_volumes_do_not():
    under = of_confidences([0.75] * 4, [True] * 4).assign(case="under")
    over = of_confidences([0.75] * 4, [True, True, False, False]).assign(case="over")
    both = pd.concat([under, over])
    assert expected_calibration_error_of_bins(both, "voxels") == 0
    assert expected_calibration_error_of_bins(both, "volumes") == pytest.approx(0.25)


def test_large_volumes_weigh_more_only_when_voxels_are_pooled():
    small = of_confidences([0.75], [False]).assign(case="small")
    large = of_confidences([0.9] * 9, [True] * 9).assign(case="large")
    both = pd.concat([small, large])
    expected = (0.1 * 9 + 0.75) / 10
    assert expected_calibration_error_of_bins(both, "voxels") == pytest.approx(expected)
    assert expected_calibration_error_of_bins(both, "volumes") == pytest.approx(0.85 / 2)


def test_no_bins_is_an_error():
    nothing = of_confidences([0.9], [True]).assign(case="a").iloc[:0]
    with pytest.raises(CardiouqError, match="found none"):
        expected_calibration_error_of_bins(nothing, "voxels")


def test_foreground_box():
    mask = np.zeros((5, 8, 9), bool)
    mask[1, 2, 3] = mask[2, 5, 4] = True
    assert foreground_box(mask, 0) == (slice(1, 3), slice(2, 6), slice(3, 5))
    grown = np.zeros_like(mask)
    grown[foreground_box(mask, 2)] = True
    expected = np.zeros_like(mask)
    expected[0:5, 0:8, 1:7] = True
    np.testing.assert_array_equal(grown, expected)


@pytest.mark.parametrize(("box", "voxels"), [("reference", 2 * 3 * 2), ("prediction", 2)])
def test_only_the_box_counts(box: Literal["reference", "prediction"], voxels: int):
    reference = np.zeros((4, 6, 6), int)
    reference[1, 1:4, 2] = 1  # the box is of all classes together
    reference[2, 2, 3] = 3
    probabilities = np.zeros((4, 4, 6, 6))
    probabilities[0] = 1
    probabilities[:, 0, 0, :2] = np.array([0.2, 0, 0.8, 0])[:, None]
    bins = confidence_bins(probabilities, reference, box=box)
    assert bins["voxels"].sum() == voxels
    if box == "prediction":
        assert (bins["bin"].tolist(), bins["correct"].tolist()) == ([80], [0])
    else:
        assert (bins["bin"].tolist(), bins["correct"].tolist()) == ([100], [12 - 4])
    larger = confidence_bins(probabilities, reference, box=box, margin=1)
    assert larger["voxels"].sum() == {"reference": 4 * 5 * 4, "prediction": 2 * 2 * 3}[box]


@pytest.mark.parametrize("box", ["reference", "prediction"])
def test_whole_volume_counts_where_there_is_nothing_to_box(
    box: Literal["reference", "prediction"],
):
    probabilities = np.zeros((4, 2, 3, 3))
    probabilities[0] = 1
    bins = confidence_bins(probabilities, np.zeros((2, 3, 3), int), box=box)
    assert bins["voxels"].tolist() == [18]


def test_bad_probabilities_are_errors():
    probabilities, reference = random_case(0)
    with pytest.raises(CardiouqError, match="do not fit"):
        confidence_bins(probabilities[:, :2], reference)
    probabilities[:, 1, 1, 1] = np.nan
    with pytest.raises(CardiouqError, match="NaN"):
        confidence_bins(probabilities, reference, margin=10)
