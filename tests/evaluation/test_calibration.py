"""Calibration errors against hand-made cases, their definitions, scikit-learn and MONAI."""

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import CalibrationErrorMetric
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve

from cardiouq.evaluation.calibration import (
    CLASS_LABELS,
    IMAGE_BINS,
    TOP_LABEL,
    adaptive_calibration_error,
    binned_errors,
    confidence_bins,
    heart_box,
    structure_bins,
)
from cardiouq.structures import STRUCTURES

SEEDS = range(10)
SUMS = ["voxels", "confidence", "correct"]


def random_case(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities (4, 3, 7, 6) from sharp to vague, and a reference drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=rng.uniform(0.5, 6), size=(4, 3, 7, 6))
    probabilities = np.exp(logits) / np.exp(logits).sum(0)
    drawn = rng.random(probabilities.shape[1:]) > probabilities.cumsum(0)
    return probabilities, np.minimum(drawn.sum(0), 3)


def of_confidences(confidences: list[float], right: list[bool]) -> pd.DataFrame:
    """Top-label bins of voxels whose most probable class is 1, with the given confidences."""
    confidence = np.array(confidences, dtype=np.float64)
    bins = confidence_bins(np.stack([1 - confidence, confidence]), np.where(right, 1, 2), 100)
    return bins[bins["label"] == TOP_LABEL]


def errors(bins: pd.DataFrame) -> dict[str, Any]:
    """Calibration errors of the bins of one label; rows of the same bin are pooled."""
    return binned_errors(*bins.groupby("bin")[SUMS].sum().to_numpy(np.float64).T)


def binned_voxels(
    probabilities: NDArray[np.float64], reference: NDArray[np.int64]
) -> dict[str, tuple[Any, Any]]:
    """Label -> confidence and correctness of all voxels."""
    found = {TOP_LABEL: (probabilities.max(0).ravel(), (probabilities.argmax(0) == reference))}
    found |= {name: (probabilities[k], reference == k) for k, name in enumerate(CLASS_LABELS)}
    return {name: (one.ravel(), other.ravel()) for name, (one, other) in found.items()}


def test_errors_of_a_case_made_by_hand():
    bins = of_confidences([0.605, 0.605, 0.955, 0.955, 0.955], [True, False, True, True, False])
    assert bins["bin"].tolist() == [61, 96]
    assert bins["voxels"].tolist() == [2, 3]
    assert bins["correct"].tolist() == [1, 2]
    np.testing.assert_allclose(bins["confidence"], [1.21, 2.865])
    # |1/2 - .605| and |2/3 - .955|
    first, second = 0.105, 0.955 - 2 / 3
    assert errors(bins) == pytest.approx(
        {
            "ece": 0.4 * first + 0.6 * second,
            "average_ce": (first + second) / 2,
            "maximum_ce": second,
        }
    )


def test_bins_without_voxels_count_nowhere():
    sums = np.array([[2, 3], [1.21, 2.865], [1, 2]])
    spread = np.zeros((3, 2, 4))  # of two volumes, the second without any voxel
    spread[:, 0, [1, 3]] = sums
    without = binned_errors(*sums)
    for name, found in binned_errors(*spread).items():
        assert found.tolist() == [without[name], 0]


@pytest.mark.parametrize("bins", [3, 10, 100])
def test_bins_are_closed_on_the_right_at_every_edge(bins: int):
    for upper in range(1, bins + 1):
        for confidence, expected in (
            (upper / bins, upper),
            (np.nextafter(upper / bins, 0), upper),
            (np.nextafter(upper / bins, 2), min(upper + 1, bins)),
        ):
            found = confidence_bins(np.array([[0], [confidence]]), np.array([1]), bins)
            by_label = found.set_index("label")["bin"]
            assert by_label.tolist() == [expected, 1, expected], (confidence, upper)


def test_half_precision_is_binned_by_its_exact_value():
    values = np.arange(0.5, 1, 2**-11, dtype=np.float16)
    probabilities = np.stack([np.zeros_like(values), values])
    bins = confidence_bins(probabilities, np.ones(len(values), int), 100)
    bins = bins[bins["label"] == TOP_LABEL]
    # Exact integer arithmetic: these values are k / 2048.
    numerators = np.arange(1024, 2048)
    expected, counts = np.unique(-(-numerators * 100 // 2048), return_counts=True)
    assert bins["bin"].tolist() == expected.tolist()
    assert bins["voxels"].tolist() == counts.tolist()
    assert bins["confidence"].sum() == numerators.sum() / 2048


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 15, 100]))
def test_every_label_agrees_with_scikit_learn_and_numpy(seed: int, bins: int):
    probabilities, reference = random_case(seed)
    by_label = dict(list(confidence_bins(probabilities, reference, bins).groupby("label")))
    assert set(by_label) == {TOP_LABEL, *CLASS_LABELS}
    for label, (confidence, correct) in binned_voxels(probabilities, reference).items():
        frequency, mean = calibration_curve(correct, confidence, n_bins=bins)
        edges = np.linspace(0, 1, bins + 1)
        numbers, counts = np.unique(np.digitize(confidence, edges, right=True), return_counts=True)
        found = by_label[label]
        assert found["bin"].tolist() == numbers.tolist()
        assert found["voxels"].tolist() == counts.tolist()
        np.testing.assert_allclose(found["correct"] / counts, frequency)
        np.testing.assert_allclose(found["confidence"] / counts, mean)
        expected = np.average(np.abs(frequency - mean), weights=counts)
        assert errors(found)["ece"] == pytest.approx(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_error_agrees_with_monai(seed: int):
    probabilities, reference = random_case(seed)
    by_label = dict(list(confidence_bins(probabilities, reference, 15).groupby("label")))
    voxels = binned_voxels(probabilities, reference)
    # one channel per label; MONAI's right=False closes bins on the right, as torch.bucketize does
    confidence, correct = (
        torch.tensor(np.stack(part))[None] for part in zip(*voxels.values(), strict=True)
    )
    for ours, theirs in (("ece", "expected"), ("average_ce", "average"), ("maximum_ce", "maximum")):
        metric = CalibrationErrorMetric(15, calibration_reduction=theirs, metric_reduction="none")
        metric(confidence, correct)
        found = [errors(by_label[label])[ours] for label in voxels]
        np.testing.assert_allclose(found, metric.aggregate()[0], atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_sums_over_the_classes_are_the_voxels(seed: int):
    probabilities, reference = random_case(seed)
    sums = confidence_bins(probabilities, reference, 100).groupby("label")[SUMS].sum()
    assert (sums["voxels"] == reference.size).all()
    of_classes = sums.drop(TOP_LABEL).sum()
    assert of_classes["correct"] == reference.size
    assert of_classes["confidence"] == pytest.approx(reference.size)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True))
def test_pooled_volumes_are_one_volume_made_of_all(seeds: list[int]):
    cases = [random_case(seed) for seed in seeds]
    bins = [confidence_bins(*case, 100).query("label == 'top'") for case in cases]
    together = confidence_bins(
        np.concatenate([probabilities for probabilities, _ in cases], axis=1),
        np.concatenate([reference for _, reference in cases]),
        100,
    ).query("label == 'top'")
    pooled = errors(pd.concat(bins))
    assert pooled == pytest.approx(errors(together))
    # All volumes at once as rows, unused bins among them, are the same as one by one.
    one_by_one = [errors(of_case) for of_case in bins]
    rows = np.zeros((3, len(cases), 100))
    for index, of_case in enumerate(bins):
        rows[:, index, of_case["bin"] - 1] = of_case[SUMS].T
    for name, found in binned_errors(*rows).items():
        np.testing.assert_allclose(found, [of_case[name] for of_case in one_by_one])
    # Volumes of one size: misfits of opposite sign can only cancel when the voxels are pooled.
    assert pooled["ece"] <= np.mean([of_case["ece"] for of_case in one_by_one]) + 1e-12


def test_pooled_voxels_cancel_what_volumes_do_not():
    under = of_confidences([0.75] * 4, [True] * 4)
    over = of_confidences([0.75] * 4, [True, True, False, False])
    assert set(errors(pd.concat([under, over])).values()) == {0}
    assert (errors(under)["ece"], errors(over)["ece"]) == (0.25, 0.25)


def test_large_volumes_weigh_more_when_voxels_are_pooled():
    small = of_confidences([0.75], [False])
    large = of_confidences([0.9] * 9, [True] * 9)
    pooled = errors(pd.concat([small, large]))
    assert pooled["ece"] == pytest.approx((0.1 * 9 + 0.75) / 10)
    assert pooled["average_ce"] == pytest.approx((0.1 + 0.75) / 2)
    assert (errors(small)["ece"], errors(large)["ece"]) == pytest.approx((0.75, 0.1))


def test_adaptive_error_of_a_case_made_by_hand():
    foreground = np.array([0.3, 0.8, 0.1, 0.6])
    probabilities, reference = np.stack([1 - foreground, foreground]), np.array([1, 0, 0, 1])
    # class 1: {.1, .3} with frequency 1/2 and {.6, .8} with 1/2; class 0 is its mirror image
    found = adaptive_calibration_error(probabilities, reference, 2)
    assert found == pytest.approx((0.3 + 0.2) / 2)


@pytest.mark.parametrize(
    ("foreground", "reference", "expected"),
    [
        # each bin gets one of the two .5: |0 + 1 - .2 - .5| and |1 + 0 - .5 - .8|, by 4 voxels
        ([0.2, 0.5, 0.5, 0.8], [0, 1, 1, 0], (0.3 + 0.3) / 4),
        # the voxel in the middle counts half in each bin
        ([0.2, 0.5, 0.8], [0, 1, 0], (0.05 + 0.55) / 3),
    ],
)
def test_adaptive_error_shares_out_what_a_cut_goes_through(
    foreground: list[float], reference: list[int], expected: float
):
    probabilities = np.stack([1 - np.array(foreground), foreground])
    found = adaptive_calibration_error(probabilities, np.array(reference), 2)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("bins", [1, 2, 9, 14, 126])
@pytest.mark.parametrize("seed", SEEDS)
def test_adaptive_error_is_that_of_equal_shares_of_the_sorted_voxels(seed: int, bins: int):
    probabilities, reference = random_case(seed)
    gaps = []
    for label in range(4):
        probability = probabilities[label].ravel()
        for share in np.array_split(probability.argsort(), bins):
            frequency = np.mean(reference.ravel()[share] == label)
            gaps.append(abs(frequency - probability[share].mean()))
    found = adaptive_calibration_error(probabilities, reference, bins)
    assert found == pytest.approx(np.mean(gaps))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 200))
def test_adaptive_error_knows_no_order_among_equal_probabilities(seed: int, bins: int):
    probabilities, reference = random_case(seed)
    probabilities, reference = probabilities.reshape(4, -1).round(1), reference.ravel()
    found = adaptive_calibration_error(probabilities, reference, bins)
    order = np.random.default_rng(seed).permutation(reference.size)
    assert adaptive_calibration_error(probabilities[:, order], reference[order], bins) == found
    assert 0 <= found <= 1


@pytest.mark.parametrize("bins", [1, 2, 3, 7, 12, 50])
def test_adaptive_error_of_perfectly_calibrated_groups_is_zero(bins: int):
    foreground = np.repeat([0.25, 0.75], [4, 8])
    reference = np.repeat([1, 0, 1, 0], [1, 3, 6, 2])  # the right ones first: ties must not matter
    probabilities = np.stack([1 - foreground, foreground])
    assert adaptive_calibration_error(probabilities, reference, bins) == 0


def test_bins_of_structures_hold_every_voxel_by_its_probability() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.3] * 4, size=(3, 8, 8)).transpose(3, 0, 1, 2)
    reference = rng.integers(0, 4, (3, 8, 8))
    found = structure_bins(probabilities, reference)
    assert found["label"].unique().tolist() == list(STRUCTURES)  # no background
    for label, structure in enumerate(STRUCTURES, start=1):
        p = probabilities[label].ravel()
        for row in found[found["label"] == structure].itertuples():
            inside = (p > (row.bin - 1) / IMAGE_BINS) & (p <= row.bin / IMAGE_BINS)
            assert row.voxels == inside.sum() > 0
            assert row.confidence == pytest.approx(p[inside].sum())
            assert row.correct == ((reference.ravel() == label) & inside).sum()


def test_box_with_a_margin_ends_where_the_volume_does():
    reference = np.zeros((5, 8, 9), int)
    reference[1, 2, 3], reference[2, 5, 4] = 1, 3  # the box is of all classes together
    probabilities = np.zeros((4, *reference.shape))
    tight = heart_box(probabilities, reference, "reference", 0)
    assert tight == (slice(1, 3), slice(2, 6), slice(3, 5))
    grown = np.zeros_like(reference)
    grown[heart_box(probabilities, reference, "reference", 2)] = 1
    expected = np.zeros_like(reference)
    expected[0:5, 0:8, 1:7] = 1
    np.testing.assert_array_equal(grown, expected)


@pytest.mark.parametrize(
    ("box", "margin", "shape"),
    [
        ("reference", 0, (2, 3, 2)),
        ("reference", 1, (4, 5, 4)),
        ("prediction", 0, (1, 1, 2)),
        ("prediction", 1, (2, 2, 3)),
    ],
)
def test_box_is_of_the_reference_or_of_the_prediction(
    box: Literal["reference", "prediction"], margin: int, shape: tuple[int, ...]
):
    reference = np.zeros((4, 6, 6), int)
    reference[1, 1:4, 2], reference[2, 2, 3] = 1, 3
    probabilities = np.zeros((4, 4, 6, 6))
    probabilities[0] = 1
    probabilities[:, 0, 0, :2] = np.array([0.2, 0, 0.8, 0])[:, None]
    assert reference[heart_box(probabilities, reference, box, margin)].shape == shape


@pytest.mark.parametrize("box", ["reference", "prediction"])
@pytest.mark.parametrize("margin", [0, 2])
def test_whole_volume_counts_where_there_is_nothing_to_box(
    box: Literal["reference", "prediction"], margin: int
):
    reference = np.zeros((2, 3, 3), int)
    probabilities = np.zeros((4, 2, 3, 3))
    probabilities[0] = 1
    assert reference[heart_box(probabilities, reference, box, margin)].shape == (2, 3, 3)
