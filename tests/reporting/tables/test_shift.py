"""Detection of shift in print."""

from itertools import product

import pandas as pd

from cardiouq.reporting.tables.shift import DETECTORS, make
from tests.reporting.tables.summaries import METHODS, TEST_SETS, texts

STUDY = {
    **{
        part: {name: {"label": label} for name, label in labels.items()}
        for part, labels in (("methods", METHODS), ("test_sets", TEST_SETS))
    },
    "distortions": {"test_set": "val", "kinds": {"noise": [0.05, 0.1], "bias_field": [2]}},
}
DEGREES = ("val+noise-1", "val+noise-2", "val+bias_field-1")


def shift(*test_sets: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"method": m, "test_set": t, "by": by, "auroc": 0.8, "low": 0.7, "high": 0.9, "n_empty": 1}
        for m, t, by in product(METHODS, test_sets, DETECTORS)
    )


def test_test_sets_have_intervals_and_degrees_of_distortion_have_none() -> None:
    found = shift(*TEST_SETS, *DEGREES)
    rows, printed = make({"shift": found}, STUDY, "")
    names = [name for name, _ in printed.groups[1:-1]]
    assert names == [*TEST_SETS.values(), "noise 0.05", "noise 0.1", "bias field 2"]
    row = texts(printed)[0]
    assert row == ["entropy", "Vanilla", *["0.80 [0.70, 0.90]"] * 2, *["0.80"] * 3, "5"]
    pd.testing.assert_frame_equal(rows, found)


def test_a_study_without_distortions_has_its_test_sets_alone() -> None:
    study = {name: block for name, block in STUDY.items() if name != "distortions"}
    _, printed = make({"shift": shift(*TEST_SETS)}, study, "")
    assert [name for name, _ in printed.groups[1:-1]] == list(TEST_SETS.values())
