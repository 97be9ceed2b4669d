"""A study's test cases in the viewer: each once, with every method's prediction and numbers."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.data.readers.scans import load_prediction
from cardiouq.reporting.viewer.study import CRITERIA, viewed_cases
from cardiouq.structures import STRUCTURES

METHODS = ["vanilla", "swa"]
TEST_SETS = {"val": "Phantom (ID)", "again": "Once more", "A": "Vendor A"}
CASE = "val001_ES"


@pytest.fixture(scope="module")
def cases(study: Any) -> pd.DataFrame:
    return study.cases.assign(visit="", pathology="DCM", vendor="A")


@pytest.fixture
def tables(study: Any) -> dict[str, pd.DataFrame]:
    """Scores of the made-up study as the evaluation has them, of two slices of each case too."""
    scores = study.scores.assign(estimated_dice=0.9, assd_mm=1.5)
    entropy = scores.drop_duplicates(["method", "test_set", "case"]).assign(
        predictive_entropy_bits=0.25, mutual_information_bits=0.125
    )
    slices = [scores.assign(slice=z, dice=z / 10) for z in (0, 2)]
    return {
        "scores": scores,
        "slice_scores": pd.concat(slices),
        "voxels": entropy,
        "slice_voxels": pd.concat(entropy.assign(slice=z) for z in (0, 2)),
    }


@pytest.fixture
def members(study: Any) -> pd.DataFrame:
    found = pd.read_csv(study.root / "data/test_sets.csv")
    return pd.concat([found, pd.DataFrame({"test_set": ["again"], "case": [CASE]})])


def view(study: Any, cases: Any, members: Any, tables: Any, test_sets: Any) -> dict[str, Any]:
    folder = study.root / "prediction"
    scans = viewed_cases(cases, members, tables, folder, METHODS, test_sets)
    found = list(scans)
    assert len({scan.name for scan in found}) == len(found)
    return {scan.name: scan for scan in found}


def test_every_case_of_the_test_sets_is_there_once(
    study: Any, cases: pd.DataFrame, members: pd.DataFrame, tables: Any
) -> None:
    scans = view(study, cases, members, tables, TEST_SETS)
    named = members.loc[members["test_set"] != "B", "case"]
    assert set(scans) == set(named)
    assert scans[CASE].about == ["val001", "ES", "Phantom (ID), Once more", "DCM", "vendor A"]


def test_readings_are_the_predictions_and_the_evaluation_s_numbers(
    study: Any, cases: pd.DataFrame, members: pd.DataFrame, tables: Any
) -> None:
    scan = view(study, cases, members, tables, TEST_SETS)[CASE]
    for method in METHODS:
        reading = scan.readings[method]
        file = study.root / "prediction" / method / "val" / f"{CASE}_segmentation.nii.gz"
        np.testing.assert_array_equal(reading.segmentation[0], load_prediction(file))
        of_case = (study.scores["case"] == CASE) & (study.scores["method"] == method)
        dice = study.scores[of_case].set_index("structure")["dice"].to_dict()
        mean = np.mean(list(dice.values()))
        assert reading.of_scan["Dice"] == pytest.approx(dice | {"mean": mean})
        assert list(reading.of_scan["Dice"]) == [*STRUCTURES, "mean"]
        assert reading.of_scan["entropy (bits)"] == {"mean": 0.25}
        # of the other slices nobody annotated any voxel
        assert [len(numbers) for numbers in reading.of_slices] == [5, 0, 5, 0, 0]
        assert reading.of_slices[2]["Dice"]["mean"] == pytest.approx(0.2)
        assert all(each.row in reading.of_scan[each.metric] for each in CRITERIA)


def test_structure_that_is_missing_has_no_distance(
    study: Any, cases: pd.DataFrame, members: pd.DataFrame, tables: Any
) -> None:
    scores = tables["scores"]
    missing = (scores["case"] == CASE) & (scores["structure"] == "RV")
    scores.loc[missing, ["predicted_empty", "assd_mm"]] = [True, 500.0]
    scan = view(study, cases, members, tables, TEST_SETS)[CASE]
    distances = scan.readings["swa"].of_scan["ASSD (mm)"]
    assert np.isnan(distances["RV"])
    assert distances["mean"] == 1.5
