"""Clinical quantities and their intervals, by hand."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from cardiouq.errors import CardiouqError
from cardiouq.evaluation.clinical import (
    MYOCARDIAL_DENSITY,
    UNITS,
    clinical_quantities,
    fair_crps,
    score_subjects,
)
from cardiouq.structures import FOREGROUND

Part = tuple[str, str]

ML: dict[Part, float] = {
    ("LV", "ED"): 120.0,
    ("LV", "ES"): 48.0,
    ("RV", "ED"): 150.0,
    ("RV", "ES"): 90.0,
    ("MYO", "ED"): 100.0,
    ("MYO", "ES"): 110.0,
}
EXPECTED = {
    "LVEDV": 120,
    "LVESV": 48,
    "LVEF": 60,
    "RVEDV": 150,
    "RVESV": 90,
    "RVEF": 40,
    "LVM": 105,
}


def scores_of(
    subject: str,
    reference: Mapping[Part, float] = ML,
    predicted: Mapping[Part, float] = ML,
    test_set: str = "test",
) -> pd.DataFrame:
    """Rows of `scores.csv` of the phases that the reference has, the whole foreground included."""
    volumes = pd.DataFrame({"reference_ml": reference, "predicted_ml": predicted}, dtype=float)
    volumes = volumes.loc[list(reference)].rename_axis(["structure", "phase"]).reset_index()
    whole = volumes.groupby("phase", as_index=False)[["reference_ml", "predicted_ml"]].sum()
    rows = pd.concat([volumes, whole.assign(structure=FOREGROUND)], ignore_index=True)
    rows["reference_empty"], rows["predicted_empty"] = (
        rows[column] == 0 for column in ("reference_ml", "predicted_ml")
    )
    return rows.assign(method="m", test_set=test_set, subject=subject)


def samples_of(
    subject: str, ml: Mapping[Part, Sequence[float]], test_set: str = "test"
) -> pd.DataFrame:
    """Rows of `sample_volumes.csv`."""
    rows = [
        {"structure": structure, "phase": phase, "sample": sample, "ml": float(value)}
        for (structure, phase), values in ml.items()
        for sample, value in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(method="m", test_set=test_set, subject=subject)


def scaled(factors: Sequence[float]) -> dict[Part, list[float]]:
    """Samples whose every volume is wrong by the same factor."""
    return {part: [ml * factor for factor in factors] for part, ml in ML.items()}


def test_quantities_by_hand():
    found = clinical_quantities({part: np.array([ml, 2 * ml]) for part, ml in ML.items()})
    assert set(found) == set(UNITS) == set(EXPECTED)
    assert MYOCARDIAL_DENSITY == 1.05
    for quantity, expected in EXPECTED.items():
        twice = expected if UNITS[quantity] == "%" else 2 * expected
        np.testing.assert_allclose(found[quantity], [expected, twice])


@pytest.mark.parametrize("end_systolic", [0.0, 5.0])
def test_ejection_fraction_of_a_missed_ventricle_is_zero_or_all(end_systolic: float):
    """All if it was missed at end-systole alone."""
    ml = {part: np.array([volume]) for part, volume in ML.items()}
    missed = ml | {("RV", "ES"): np.zeros(1)}
    assert clinical_quantities(missed)["RVEF"].tolist() == [100]
    ml["RV", "ED"], ml["RV", "ES"] = np.zeros(1), np.array([end_systolic])
    with np.errstate(all="raise"):
        found = clinical_quantities(ml)
    assert found["RVEF"].tolist() == [0]
    assert found["LVEF"].tolist() == [60]


def test_subject_is_scored_on_reference_and_segmentation_of_the_mean():
    predicted = {part: 0.5 * ml for part, ml in ML.items()}
    found = score_subjects(scores_of("a", ML, predicted), samples_of("a", scaled([3])), 0.5)
    keys = ["method", "test_set", "subject"]
    assert list(found.columns[:3]) == keys
    assert (found[keys] == ["m", "test", "a"]).all(axis=None)
    assert found["quantity"].tolist() == list(UNITS)
    assert found["unit"].tolist() == list(UNITS.values())
    found = found.set_index("quantity")
    for quantity, expected in EXPECTED.items():
        factor = 1 if UNITS[quantity] == "%" else 0.5
        assert found.loc[quantity, "reference"] == pytest.approx(expected)
        assert found.loc[quantity, "predicted"] == pytest.approx(factor * expected)
    assert not found["empty"].any()


def test_errors_common_to_both_phases_leave_the_ejection_fraction_certain():
    found = score_subjects(scores_of("a"), samples_of("a", scaled([0.5, 0.75, 1, 1.5, 2])), 0.5)
    width = (found["high"] - found["low"]).set_axis(found["quantity"])
    np.testing.assert_allclose(width[["LVEF", "RVEF"]], 0, atol=1e-9)
    # the inner half of five samples: from 0.75 to 1.5
    np.testing.assert_allclose(width[["LVEDV", "RVESV", "LVM"]], [90, 67.5, 78.75])
    sd = found.set_index("quantity")["sd"]
    of_factors = np.std([0.5, 0.75, 1, 1.5, 2])
    np.testing.assert_allclose(
        sd[["LVEF", "LVEDV", "LVM"]], of_factors * np.array([0, 120, 105]), atol=1e-9
    )


@pytest.mark.parametrize(
    ("confidence", "volumes", "fractions"),
    [
        (0.5, (110, 130), (100 * 62 / 110, 100 * 82 / 130)),
        # a fifth of the way from the first sample to the second, and likewise from the last
        (0.9, (102, 138), (0.8 * 52 + 20 * 62 / 110, 20 * 82 / 130 + 80 * 92 / 140)),
    ],
)
def test_intervals_are_percentiles_of_the_samples(
    confidence: float, volumes: tuple[float, ...], fractions: tuple[float, ...]
):
    ml = {part: [volume] * 5 for part, volume in ML.items()}
    ml["LV", "ED"] = [140, 110, 120, 100, 130]  # and 48 at end-systole in every sample
    found = score_subjects(scores_of("a"), samples_of("a", ml), confidence)
    ends = found.set_index("quantity")[["low", "high"]]
    np.testing.assert_allclose(ends.loc["LVEDV"], volumes)
    np.testing.assert_allclose(ends.loc["LVEF"], fractions)
    np.testing.assert_allclose(ends.loc["RVEF"], 40)
    assert (found["n_samples"] == 5).all()


def test_one_sample_is_an_interval_of_no_width():
    found = score_subjects(scores_of("a"), samples_of("a", scaled([1])), 0.95)
    assert (found["n_samples"] == 1).all()
    for column in ("low", "high"):
        np.testing.assert_array_equal(found[column], found["predicted"])


def test_subjects_without_both_phases_are_left_out():
    only_ed = {part: ml for part, ml in ML.items() if part[1] == "ED"}
    scores = pd.concat([scores_of("a"), scores_of("b", only_ed)])
    samples = pd.concat([samples_of("a", scaled([1])), samples_of("b", scaled([1]))])
    found = score_subjects(scores, samples, 0.5)
    assert set(found["subject"]) == {"a"}
    nobody = score_subjects(scores[scores["phase"] == "ED"], samples, 0.5)
    assert nobody.empty
    assert list(nobody.columns) == list(found.columns)


@pytest.mark.parametrize("missing_in", ["reference", "prediction"])
@pytest.mark.parametrize(
    ("structure", "needed_by"),
    [("RV", {"RVEDV", "RVESV", "RVEF"}), ("LV", {"LVEDV", "LVESV", "LVEF"}), ("MYO", {"LVM"})],
)
def test_only_quantities_of_the_missing_structure_are_marked(
    missing_in: str, structure: str, needed_by: set[str]
):
    without = ML | {(structure, "ED"): 0, (structure, "ES"): 0}
    volumes = (without, ML) if missing_in == "reference" else (ML, without)
    scores = pd.concat([scores_of("a", *volumes), scores_of("b")])
    samples = pd.concat([samples_of("a", scaled([1])), samples_of("b", scaled([1]))])
    found = score_subjects(scores, samples, 0.5)
    marked = found[found["empty"]]
    assert set(marked["subject"]) == {"a"}
    assert set(marked["quantity"]) == needed_by
    column = "reference" if missing_in == "reference" else "predicted"
    assert (marked[column] == 0).all()


@pytest.mark.parametrize(
    ("phase", "needed_by"), [("ED", {"LVEDV", "LVEF"}), ("ES", {"LVESV", "LVEF"})]
)
def test_only_quantities_of_the_phase_it_is_missing_in_are_marked(phase: str, needed_by: set[str]):
    scores = scores_of("a", ML, ML | {("LV", phase): 0})
    found = score_subjects(scores, samples_of("a", scaled([1])), 0.5)
    assert set(found.loc[found["empty"], "quantity"]) == needed_by


@pytest.mark.parametrize("seed", range(5))
def test_order_of_the_rows_does_not_matter(seed: int):
    rng = np.random.default_rng(seed)
    subjects = ["a", "b", "c"]
    scores = pd.concat([scores_of(subject) for subject in subjects])
    samples = pd.concat(
        samples_of(subject, scaled(rng.uniform(0.5, 2, 30).tolist())) for subject in subjects
    )
    found, shuffled = (
        score_subjects(*tables, 0.5).sort_values(["subject", "quantity"], ignore_index=True)
        for tables in (
            (scores, samples),
            (scores.sample(frac=1, random_state=seed), samples.sample(frac=1, random_state=seed)),
        )
    )
    pd.testing.assert_frame_equal(found, shuffled)
    # volumes of different samples paired by mistake would make the fractions uncertain
    fractions = shuffled[shuffled["unit"] == "%"]
    np.testing.assert_allclose(fractions["high"], fractions["low"])


def test_a_subject_of_two_test_sets_is_scored_in_each():
    twice = {part: 2 * ml for part, ml in ML.items()}
    scores = pd.concat([scores_of("a"), scores_of("a", twice, twice, "noisy")])
    samples = pd.concat([samples_of("a", scaled([1])), samples_of("a", scaled([2, 2]), "noisy")])
    found = score_subjects(scores, samples, 0.5).query("quantity == 'LVEDV'").set_index("test_set")
    assert found["reference"].to_dict() == {"test": 120, "noisy": 240}
    assert found["high"].to_dict() == {"test": 120, "noisy": 240}
    assert found["n_samples"].to_dict() == {"test": 1, "noisy": 2}


def of_visits(rows: pd.DataFrame, *visits: str) -> pd.DataFrame:
    """The same rows of several visits."""
    return pd.concat([rows.assign(visit=visit) for visit in visits], ignore_index=True)


def test_each_visit_is_read_on_its_own() -> None:
    later = {part: ml * (0.5 if part[1] == "ES" else 0.9) for part, ml in ML.items()}
    scores = pd.concat(
        [of_visits(scores_of("a"), "v1"), of_visits(scores_of("a", later, later), "v2")]
    )
    samples = pd.concat(
        [
            of_visits(samples_of("a", {part: [ml] for part, ml in volumes.items()}), visit)
            for visit, volumes in (("v1", ML), ("v2", later))
        ]
    )
    table = score_subjects(scores, samples, 0.95).set_index(["visit", "quantity"])["reference"]
    assert table["v1", "LVEF"] == pytest.approx(60)
    assert table["v2", "LVEF"] == pytest.approx(100 * (1 - 24 / 108))
    assert table["v2", "LVM"] == pytest.approx(0.9 * table["v1", "LVM"])


def test_a_visit_without_es_borrows_none() -> None:
    lacking = {part: ml for part, ml in ML.items() if part[1] == "ED"}
    scores = pd.concat([of_visits(scores_of("a"), "v1"), of_visits(scores_of("a", lacking), "v2")])
    samples = of_visits(samples_of("a", {part: [ml] for part, ml in ML.items()}), "v1", "v2")
    assert set(score_subjects(scores, samples, 0.95)["visit"]) == {"v1"}


@pytest.mark.parametrize(
    "visits",
    [
        None,  # no such column
        ("", ""),
        ("v1", "v1"),
    ],
)
def test_two_cases_of_one_phase_are_an_error(visits: tuple[str, str] | None) -> None:
    scores, samples = scores_of("a"), samples_of("a", {part: [ml] for part, ml in ML.items()})
    twice = pd.concat([scores.assign(case="one"), scores.assign(case="two")])
    if visits:
        twice["visit"] = visits[0]
    with pytest.raises(CardiouqError, match=r"subject a has cases \['one', 'two'\].*`visit`"):
        score_subjects(twice, samples, 0.95)


def test_crps_by_hand() -> None:
    assert fair_crps(np.array([4.0]), 1.0) == 3
    # distances from 2: 1, 1, 4; of the pairs: 2, 5, 3
    assert fair_crps(np.array([1.0, 3.0, 6.0]), 2.0) == pytest.approx(6 / 3 - (2 + 5 + 3) / 3 / 2)


def test_crps_is_the_area_between_the_distributions_as_samples_grow_many() -> None:
    """Of a standard normal at 0.7: z (2 F(z) - 1) + 2 f(z) - 1 / sqrt(pi)."""
    z = 0.7
    expected = z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)
    samples = norm.ppf((np.arange(2000) + 0.5) / 2000)
    assert fair_crps(samples, z) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("n", [2, 5])
def test_crps_of_few_samples_is_that_of_many_on_average(n: int) -> None:
    """The form that divides by n squared would be off by E|X - X'| / 2n, of 5 samples 0.11."""
    rng = np.random.default_rng(0)
    found = [fair_crps(rng.normal(size=n), 0.7) for _ in range(20_000)]
    many = fair_crps(norm.ppf((np.arange(2000) + 0.5) / 2000), 0.7)
    assert np.mean(found) == pytest.approx(many, abs=0.02)


def test_subjects_have_the_crps_of_each_quantity() -> None:
    found = score_subjects(scores_of("p"), samples_of("p", scaled([1.1, 1.2])), 0.95)
    crps = found.set_index("quantity")["crps"]
    assert crps["LVEDV"] == pytest.approx((12 + 24) / 2 - 12 / 2)
    assert crps["LVEF"] == pytest.approx(0)  # the same error in both phases cancels
