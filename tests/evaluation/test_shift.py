"""Detection of shift on volumes of a known law."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from cardiouq.errors import CardiouqError
from cardiouq.evaluation.shift import (
    CERTAINTIES,
    UNCERTAINTIES,
    detect_shift,
    distances_from_others,
)
from cardiouq.evaluation.statistics import AGREEMENTS, VOXEL_UNCERTAINTIES
from cardiouq.structures import FOREGROUND

BOOTSTRAP = {"resamples": 200, "confidence": 0.95}
DISTORTED = {"val+noise-1": {"of": "val", "kind": "noise", "place": 1, "degree": 0.1}}
IN_SCORES = (*AGREEMENTS, "assd_within_mm")
CHANNELS = [f"channel_{index}" for index in range(12)]


def volumes(test_set: str, subjects: range, shift: float, seed: int = 0) -> pd.DataFrame:
    """Two volumes of each subject, whose uncertainty is a standard normal number, shifted."""
    rng = np.random.default_rng([seed, len(test_set)])
    names = np.repeat([f"p{i}" for i in subjects], 2)
    cases = [f"{name}_{i % 2}+{test_set}" for i, name in enumerate(names)]
    rows = pd.DataFrame({"method": "m", "test_set": test_set, "case": cases, "subject": names})
    sign = {name: -1 if name in CERTAINTIES else 1 for name in (*UNCERTAINTIES, *CERTAINTIES)}
    uncertainty = rng.normal(shift, 1, len(rows))
    empty = {"reference_empty": False, "predicted_empty": np.arange(len(rows)) == 0}
    rows = rows.assign(**{name: s * uncertainty for name, s in sign.items()}, **empty)
    rows[CHANNELS] = rng.normal(0, 1, (len(rows), len(CHANNELS))) + 3 * shift
    return rows.drop(columns="mahalanobis")


def detected(*parts: pd.DataFrame, in_domain: Any = ("val",), distorted: Any = None) -> Any:
    rows = pd.concat(parts)
    keys = ["method", "test_set", "case", "subject"]
    scores = rows[[*keys, *IN_SCORES, "reference_empty", "predicted_empty"]]
    voxels = rows[[*keys, *VOXEL_UNCERTAINTIES, "confidence"]]
    of_cases = rows.drop_duplicates("case")
    activations = of_cases[["method", "case", "energy", "largest_logit", *CHANNELS]]
    tables = scores.assign(structure=FOREGROUND), voxels, activations
    found = detect_shift(*tables, in_domain, distorted or {}, BOOTSTRAP, 1)
    return found.set_index(["test_set", "by"])


def test_a_test_set_is_not_told_from_itself() -> None:
    """Nor by the Mahalanobis distance from the other subjects."""
    found = detected(volumes("val", range(10), 0), volumes("A", range(20, 30), 1)).loc["val"]
    assert found.index.tolist() == [*UNCERTAINTIES, *CERTAINTIES]
    assert (found[["auroc", "low", "high"]] == 0.5).all(axis=None)


def test_auroc_is_that_of_scikit_learn_and_of_the_law() -> None:
    val, other = volumes("val", range(200), 0), volumes("A", range(500, 700), 1)
    found = detected(val, other).loc["A"]
    expected = roc_auc_score(
        np.repeat([0, 1], [len(val), len(other)]), pd.concat([val, other])["variance"]
    )
    # of certainties, turned round, too
    np.testing.assert_allclose(found["auroc"].drop("mahalanobis"), expected)
    assert expected == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.04)
    found = found.drop("mahalanobis")
    assert (found["low"] < found["auroc"]).all() and (found["auroc"] < found["high"]).all()
    assert (found[["n_cases", "n_subjects", "n_reference", "n_empty"]] == [400, 200, 400, 2]).all(
        axis=None
    )


def test_all_test_sets_in_domain_are_told_from_together() -> None:
    parts = volumes("val", range(10), 0), volumes("test", range(20, 25), 0)
    found = detected(*parts, volumes("A", range(40, 50), 1), in_domain=("val", "test"))
    assert set(found.loc["A", "n_reference"]) == {30}


def test_a_test_set_is_drawn_as_it_is_drawn_among_those_in_domain() -> None:
    """Else its volumes would be other ones in the two samples that are told apart."""
    parts = volumes("val", range(20), 0), volumes("test", range(20, 24), 0)
    found = detected(*parts, in_domain=("val", "test")).loc["val"].drop("mahalanobis")
    # 40 of the 48 volumes that they are told from are the same ones
    assert (found["high"] - found["low"] < 0.12).all()


def test_distorted_scans_are_told_from_those_that_they_are_made_from() -> None:
    val, noisy = volumes("val", range(10), 0), volumes("val+noise-1", range(4), 5)
    found = detected(val, noisy, distorted=DISTORTED).loc["val+noise-1"]
    assert set(found["n_reference"]) == {8}
    same = val[val["subject"].isin(noisy["subject"])].assign(test_set="val+noise-1")
    same["case"] += "+noise-1"
    found = detected(val, same, distorted=DISTORTED).loc["val+noise-1"]
    # scan and distorted scan are resampled together
    assert (found[["auroc", "low", "high"]] == 0.5).all(axis=None)


def test_a_case_without_activations_is_named() -> None:
    val = volumes("val", range(3), 0)
    scores = val.assign(structure=FOREGROUND)
    known = val[["method", "case", "energy", "largest_logit"]].iloc[1:]
    with pytest.raises(CardiouqError, match=r"activations\.csv of m: no row of p0_0\+val"):
        detect_shift(scores, val, known, ["val"], {}, BOOTSTRAP, 1)


def test_a_single_subject_has_no_interval() -> None:
    found = detected(volumes("val", range(10), 0), volumes("A", range(20, 21), 1)).loc["A"]
    assert found["auroc"].notna().all() and found[["low", "high"]].isna().all(axis=None)


def test_mahalanobis_distance_finds_shifted_features_and_no_others() -> None:
    """In domain there are fewer volumes of others than it has dimensions: it is shrunk."""
    val, same = volumes("val", range(6), 0), volumes("same", range(20, 60), 0)
    found = detected(val, same, volumes("A", range(80, 120), 1))["auroc"]
    assert found["A", "mahalanobis"] > 0.99
    # one that has seen the subjects that it is asked about takes them for nearer than they are
    assert found["same", "mahalanobis"] == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("subjects", [3, 5, 8])
def test_features_of_one_law_are_not_told_apart_however_few_are_in_domain(
    monkeypatch: pytest.MonkeyPatch, subjects: int
) -> None:
    """Laws of fewer subjects have longer distances, so all must be of as many."""
    channels = [f"channel_{index}" for index in range(64)]
    monkeypatch.setattr("tests.evaluation.test_shift.CHANNELS", channels)
    found = []
    for seed in range(20):
        rows = volumes("all", range(subjects + 20), 0, seed)
        names = rows["subject"].unique()
        centres = np.random.default_rng(seed).normal(0, 2, (len(names), len(channels)))
        rows[channels] += np.repeat(centres, 2, axis=0)
        is_known = rows["subject"].isin(names[:subjects]).to_numpy()
        found.append(roc_auc_score(~is_known, distances_from_others(rows, is_known)))
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(0.5, abs=4 * error)


def test_without_features_the_mahalanobis_distance_tells_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.evaluation.test_shift.CHANNELS", [])
    found = detected(volumes("val", range(10), 0), volumes("A", range(20, 30), 1))
    assert found.loc[("A", "mahalanobis"), "auroc"] == 0.5
