"""The rules by which volumes, slices and checkpoints are chosen for figures."""

import numpy as np
import pandas as pd
import pytest

from cardiouq.errors import CardiouqError
from cardiouq.reporting.selection import Volume, choose_slice, mean_dice, success_and_failures
from cardiouq.structures import IGNORED

# subject, test set, phase, Dice of two methods
VOLUMES = [
    ("a", "val", "ED", 0.95, 0.97),
    ("a", "val", "ES", 0.20, 0.20),  # worst of all, but of the success's subject
    ("b", "A", "ED", 0.30, 0.50),
    ("b", "A", "ES", 0.30, 0.40),
    ("c", "B", "ED", 0.60, 0.60),
    ("d", "B", "ED", 0.99, 0.10),
    ("e", "B", "ED", 0.90, 0.90),
]
SCORES = pd.DataFrame(
    {
        "method": method,
        "test_set": test_set,
        "case": f"{subject}_{phase}",
        "subject": subject,
        "structure": "LV",
        "dice": dice,
    }
    for subject, test_set, phase, *both in VOLUMES
    for method, dice in zip(("vanilla", "swa"), both, strict=True)
)


def test_best_volume_and_the_worst_of_other_subjects() -> None:
    assert success_and_failures(SCORES, 3) == [
        Volume("val", "a_ED", failure=False),
        Volume("A", "b_ES", failure=True),
        Volume("B", "d_ED", failure=True),
        Volume("B", "c_ED", failure=True),
    ]


def test_order_of_rows_does_not_matter() -> None:
    shuffled = SCORES.sample(frac=1, random_state=3)
    assert success_and_failures(shuffled, 3) == success_and_failures(SCORES, 3)


def test_the_foreground_is_no_structure_of_its_own() -> None:
    best_by_it = SCORES.assign(structure="foreground", dice=(SCORES["subject"] == "b") * 1.0)
    both = pd.concat([SCORES, best_by_it], ignore_index=True)
    assert success_and_failures(both, 3) == success_and_failures(SCORES, 3)


def test_fewer_failures_if_there_are_fewer_subjects() -> None:
    assert len(success_and_failures(SCORES, 10)) == 5


def test_no_scores_is_an_error() -> None:
    with pytest.raises(CardiouqError, match="no scores"):
        success_and_failures(SCORES[:0], 3)


def test_mean_dice_of_empty_and_half_found_structures() -> None:
    reference, prediction = np.array([[1, 1, 0, 0]]), np.array([[1, 0, 0, 3]])
    # RV 2 * 1 / 3, MYO missing in both, LV only predicted
    assert mean_dice(reference, prediction) == pytest.approx((2 / 3 + 1 + 0) / 3)


def volume_of_errors(errors: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """A volume whose slice z has so many wrong voxels of the 8 of each structure."""
    reference = np.zeros((len(errors), 3, 8), int) + np.arange(1, 4)[:, None]
    prediction = reference.copy()
    for labels, n_wrong in zip(prediction, errors, strict=True):
        labels[:, :n_wrong] = 0
    return reference, prediction


def test_failure_shows_the_worst_slice_and_success_the_median() -> None:
    reference, prediction = volume_of_errors([1, 0, 5, 2])
    assert choose_slice(reference, [prediction], failure=True) == 2
    # from the worst: slices 2, 3, 0, 1; the lower median is 3
    assert choose_slice(reference, [prediction], failure=False) == 3


def test_only_slices_with_all_structures_are_shown() -> None:
    reference, prediction = volume_of_errors([1, 0, 5, 2])
    reference[2, 0] = 0  # no RV in the worst slice
    assert choose_slice(reference, [prediction], failure=True) == 3


def test_slices_with_a_sliver_of_a_structure_are_not_shown() -> None:
    reference, prediction = volume_of_errors([1, 0, 5, 2])
    wide, wrong = (np.repeat(labels, 2, axis=2) for labels in (reference, prediction))
    wide[2, 0, 1:] = 0  # one voxel of the RV's 16
    assert choose_slice(wide, [wrong], failure=True) == 3
    wide[2, 0, :2] = 1  # two, more than a tenth
    assert choose_slice(wide, [wrong], failure=True) == 2


def test_without_such_a_slice_those_with_most_structures_are_shown() -> None:
    reference, prediction = volume_of_errors([1, 0, 5, 2])
    reference[:, 0] = 0
    reference[2, 1] = 0
    prediction[:, 0] = 0
    assert choose_slice(reference, [prediction], failure=True) == 3


def test_dice_is_of_what_someone_annotated() -> None:
    reference = np.array([[1, 1, IGNORED, IGNORED], [2, 2, 3, 3]])
    prediction = np.array([[1, 1, 1, 2], [2, 2, 3, 0]])
    assert mean_dice(reference, prediction) == pytest.approx((1 + 1 + 2 / 3) / 3)


def test_a_slice_that_nobody_annotated_is_never_shown() -> None:
    reference = np.full((3, 4, 4), IGNORED)
    reference[1, 0] = 0
    predictions = [np.zeros((3, 4, 4), int)]
    assert [choose_slice(reference, predictions, failure) for failure in (True, False)] == [1, 1]
