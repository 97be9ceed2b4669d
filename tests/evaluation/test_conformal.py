"""Conformal intervals hold what they promise on subjects of a known law, and by hand."""

from math import ceil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from cardiouq.evaluation.bootstrap import FEWEST_SUBJECTS
from cardiouq.evaluation.clinical import UNITS, clinical_quantities
from cardiouq.evaluation.conformal import (
    LEVELS,
    POSSIBLE,
    binomial_interval,
    calibrate,
    calibration_of,
    conformal,
    intervals_of_new,
)
from cardiouq.structures import ALL, FOREGROUND, HEART

STRUCTURES = (*HEART, FOREGROUND)
QUANTITIES = {*UNITS, *(f"{kind} {s}" for kind in ("Dice", "Margin") for s in STRUCTURES)}
N_NEW = 20
"""Subjects of the test set that is not calibrated on."""
N_DRAWN = 150
"""Draws of all subjects, each as the results of a method of its own."""
SAMPLES = 5
Tables = tuple[pd.DataFrame, pd.DataFrame]


def subjects_of(rng: np.random.Generator, n: int, harder: float = 1) -> Tables:
    """Rows of `scores.csv` and `subjects.csv` of n subjects whose samples share most of an error.

    How hard a subject is differs; of it the samples' spread tells something, and not its scale.
    """
    hard = harder * rng.lognormal(0, 0.6, n)
    parts = [(structure, phase) for structure in HEART for phase in ("ED", "ES")]
    reference = {part: rng.normal(150 if part[1] == "ED" else 80, 15, n) for part in parts}
    predicted, drawn = {}, {}
    for part, ml in reference.items():
        predicted[part] = ml + 3 + hard * rng.normal(0, 4, n)
        drawn[part] = predicted[part] + hard * rng.normal(0, 1, (SAMPLES, n))
    found = [clinical_quantities(volumes) for volumes in (reference, predicted, drawn)]
    names = np.arange(n).astype(str)
    quantities = [
        pd.DataFrame({"subject": names, "reference": true, "predicted": estimate})
        .assign(quantity=quantity, unit=UNITS[quantity], sd=samples.std(0))
        .assign(low=np.quantile(samples, 0.025, 0), high=np.quantile(samples, 0.975, 0))
        for quantity, true, estimate, samples in zip(
            found[0], *(f.values() for f in found), strict=True
        )
    ]
    scores = []
    for structure in STRUCTURES:
        for phase in ("ED", "ES"):
            dice = np.clip(0.93 - 0.04 * hard * rng.gamma(2, 0.5, n), 0, 1)
            estimate = np.clip(dice + 0.02 * hard * rng.normal(0.5, 1, n), 0, 1)
            margin = 2 * hard * rng.gamma(2, 1, n)
            columns = {"subject": names, "dice": dice, "estimated_dice": estimate}
            columns |= {"margin_mm": margin, "assd_within_mm": hard * rng.gamma(3, 0.2, n)}
            scores.append(pd.DataFrame(columns).assign(structure=structure, phase=phase))
    empty = {"reference_empty": False, "predicted_empty": False, "visit": ""}
    return pd.concat(scores).assign(**empty), pd.concat(quantities).assign(empty=False, visit="")


def draws(n: int, seed: int, harder: float = 1, count: int = N_DRAWN) -> Tables:
    """Results on n in-domain subjects (`val`) and on new ones (`new`), drawn again and again."""
    rng = np.random.default_rng(seed)
    scores, subjects = [], []
    for test_set, (size, factor) in {"val": (n, 1), "new": (N_NEW, harder)}.items():
        for tables, made in zip(
            (scores, subjects), subjects_of(rng, size * count, factor), strict=True
        ):
            draw = (made["subject"].astype(int) // size).astype(str)
            subject = test_set + made["subject"]
            tables.append(made.assign(test_set=test_set, method=draw, subject=subject))
    return pd.concat(scores, ignore_index=True), pd.concat(subjects, ignore_index=True)


def far_below(coverage: "pd.Series[float]", nominal: float) -> bool:
    """Whether the mean over draws is lower than nominal beyond the error of so many draws."""
    return bool(coverage.mean() < nominal - 4 * coverage.std() / np.sqrt(len(coverage)))


@pytest.mark.parametrize("n", [20, 50])
def test_new_subjects_are_covered_as_promised(n: int) -> None:
    coverage, _ = conformal(*draws(n, seed=n), ["val"])
    new = coverage[(coverage["test_set"] == "new") & (coverage["quantity"] != ALL)]
    assert set(new["quantity"]) == QUANTITIES
    assert (new["n_calibrated"] == n).all()
    for (_, _, level), rows in new.groupby(["quantity", "by", "nominal"]):
        expected = ceil((n + 1) * level) / (n + 1)  # exact, if no two scores are the same
        error = rows["coverage"].std() / np.sqrt(N_DRAWN)
        assert rows["coverage"].mean() == pytest.approx(expected, abs=4 * error)
        assert not far_below(rows["coverage"], level)


def test_percentiles_of_the_samples_cover_less_than_they_promise() -> None:
    _, subjects = draws(20, seed=20)
    held = subjects["reference"].between(subjects["low"], subjects["high"])
    for _, of_draws in (
        held.groupby([subjects["quantity"], subjects["method"]]).mean().groupby(level=0)
    ):
        assert far_below(of_draws, 0.95)
        assert of_draws.mean() < 0.6


@pytest.mark.parametrize("n", [20, 10])
def test_subjects_left_out_in_domain_are_covered_by_construction(n: int) -> None:
    coverage, _ = conformal(*draws(n, seed=3, count=4), ["val"])
    in_domain = coverage[coverage["test_set"] == "val"]
    for level, rows in in_domain.groupby("nominal"):
        assert rows["coverage"].to_numpy() == pytest.approx(ceil(n * level) / n)
    assert in_domain["valid"].all()
    assert (in_domain["n_calibrated"] == n - 1).all()
    # 9 others are too few for 95 %
    assert (np.isinf(in_domain["width"]) == ((in_domain["nominal"] == 0.95) & (n == 10))).all()


def test_intervals_that_are_scaled_by_what_tells_the_error_are_narrower() -> None:
    coverage, _ = conformal(*draws(50, seed=1, count=20), ["val"])
    rows = coverage[(coverage["test_set"] == "new") & (coverage["quantity"] == "LVEDV")]
    width = rows.groupby(["nominal", "by"])["width"].mean().unstack()
    assert (width["spread"] < 0.95 * width["nothing"]).all()


def test_harder_subjects_are_not_covered_and_it_is_said() -> None:
    coverage, _ = conformal(*draws(50, seed=2, harder=8, count=10), ["val"])
    of_volumes = (coverage["quantity"] == "LVEDV") & (coverage["by"] == "nothing")
    new = coverage[of_volumes & (coverage["test_set"] == "new")]
    assert (new["coverage"] < new["nominal"]).all()
    assert not new["valid"].any()
    assert (new["valid"] == (new["high"] >= new["nominal"])).all()


@pytest.mark.parametrize("n", [1, FEWEST_SUBJECTS - 1, FEWEST_SUBJECTS])
def test_few_subjects_are_called_neither_valid_nor_not(n: int) -> None:
    scores, subjects = draws(20, seed=2, harder=100, count=1)
    chosen = {*(f"val{k}" for k in range(20)), *(f"new{k}" for k in range(n))}
    tables = (table[table["subject"].isin(chosen)] for table in (scores, subjects))
    coverage, _ = conformal(*(t.reset_index(drop=True) for t in tables), ["val"])
    rows = coverage[(coverage["test_set"] == "new") & (coverage["quantity"] != ALL)]
    missed = rows[(rows["coverage"] == 0) & (rows["n_subjects"] == n)]
    assert len(missed) and (n > 1 or (missed["high"] >= missed["nominal"]).all())
    of_all = coverage[(coverage["test_set"] == "new") & (coverage["quantity"] == ALL)]
    if n < FEWEST_SUBJECTS:
        assert rows["valid"].isna().all() and of_all["valid"].isna().all()
        assert of_all["width"].isna().all()  # there is no narrowest valid one
    else:
        assert (missed["valid"] == 0).all() and (of_all["valid"] == 0).all()


def test_all_intervals_are_not_called_valid_where_one_is_of_too_few_subjects() -> None:
    """Volumes at one phase alone are of all subjects, the ejection fraction of few."""
    scores, subjects = draws(20, seed=2, harder=0.2, count=1)
    few = subjects["subject"].isin({f"new{k}" for k in range(FEWEST_SUBJECTS - 1)})
    in_domain = subjects["test_set"] == "val"
    tables = scores, subjects[in_domain | few | (subjects["quantity"] != "LVEF")]
    coverage, _ = conformal(*(t.reset_index(drop=True) for t in tables), ["val"])
    new = coverage[(coverage["test_set"] == "new") & (coverage["by"] == "nothing")]
    of_all = new[new["quantity"] == ALL]
    others = new[~new["quantity"].isin([ALL, "LVEF"]) & ~new["quantity"].str.startswith("Margin")]
    assert new.loc[new["quantity"] == "LVEF", "valid"].isna().all()
    assert (others["valid"] == 1).all()
    assert of_all["valid"].isna().all()
    assert set(of_all["n_subjects"]) == {FEWEST_SUBJECTS - 1}


def test_mean_of_all_intervals_has_the_binomial_interval_of_a_single_one() -> None:
    coverage, _ = conformal(*draws(20, seed=2, harder=4, count=2), ["val"])
    of_all = coverage[coverage["quantity"] == ALL]
    held = of_all["coverage"] * of_all["n_subjects"]
    for end, expected in zip(
        ("low", "high"), binomial_interval(held, of_all["n_subjects"]), strict=True
    ):
        np.testing.assert_allclose(of_all[end], expected)
    assert of_all["coverage"].between(of_all["low"], of_all["high"]).all()


def test_a_method_of_one_sample_has_intervals_of_one_width() -> None:
    scores, subjects = draws(20, seed=4, count=1)
    coverage, intervals = conformal(scores, subjects.assign(sd=0.0), ["val"])
    of_volumes = coverage[coverage["quantity"] == "RVESV"].drop(columns="by")
    spread, nothing = (rows for _, rows in of_volumes.groupby(coverage["by"]))
    pd.testing.assert_frame_equal(spread.reset_index(drop=True), nothing.reset_index(drop=True))
    rows = intervals[(intervals["quantity"] == "LVEDV") & (intervals["test_set"] == "new")]
    widths = (rows["high"] - rows["low"]).groupby(rows["nominal"])
    np.testing.assert_allclose(widths.min(), widths.max())


def test_intervals_end_where_there_are_no_values() -> None:
    scores, subjects = draws(20, seed=5, harder=20, count=2)
    coverage, intervals = conformal(scores, subjects, ["val"])
    assert set(intervals["quantity"]) == QUANTITIES
    for unit, rows in intervals.groupby("unit"):
        least, most = POSSIBLE[str(unit)]
        assert (rows["low"] >= least).all() and (rows["high"] <= most).all()
        assert (rows["low"] <= rows["high"]).all()
    dice = intervals["quantity"] == "Dice LV"
    assert (intervals.loc[dice, ["low", "high"]].isin([0, 1])).any(axis=None)
    held = intervals["truth"].between(intervals["low"] - 1e-9, intervals["high"] + 1e-9)
    keys = ["method", "test_set", "quantity", "nominal"]
    by_subject = held.groupby([intervals[key] for key in (*keys, "subject")]).all()
    expected = coverage[coverage["by"] == "spread"].set_index(keys)["coverage"]
    of_subjects = by_subject.groupby(keys).mean()
    np.testing.assert_allclose(of_subjects, expected[of_subjects.index])


def test_a_subject_is_held_if_all_of_its_volumes_are() -> None:
    scores, subjects = draws(20, seed=6, count=1)
    before, _ = conformal(scores, subjects, ["val"])
    wrong = (scores["subject"] == "new0") & (scores["phase"] == "ES")
    scores.loc[wrong, "margin_mm"] = 1e6
    others = (scores["test_set"] == "new") & ~wrong
    scores.loc[others, "margin_mm"] = 0.0
    after, _ = conformal(scores, subjects, ["val"])
    margins = after["quantity"].str.startswith("Margin") & (after["test_set"] == "new")
    assert (after.loc[margins, "coverage"] == (N_NEW - 1) / N_NEW).all()
    in_domain = before["test_set"] == "val"
    pd.testing.assert_frame_equal(before[in_domain], after[in_domain])


def test_a_distorted_subject_is_not_calibrated_on_its_own_scan() -> None:
    tables = draws(20, seed=7, count=1)
    distorted = [
        pd.concat([table, table[table["test_set"] == "val"].assign(test_set="val+noise-1")])
        for table in tables
    ]
    coverage, _ = conformal(*(t.reset_index(drop=True) for t in distorted), ["val"])
    keys = ["quantity", "by", "nominal"]
    same = [coverage[coverage["test_set"] == t].set_index(keys) for t in ("val", "val+noise-1")]
    assert (same[1]["n_calibrated"] == 19).all()
    for column in ("coverage", "low", "high", "valid"):
        np.testing.assert_array_equal(same[0][column], same[1][column].loc[same[0].index])


def test_quantiles_by_hand() -> None:
    """Subjects a to d have the scores 1 to 4, of which d's is that of its worse volume."""
    subjects = np.array([0, 1, 2, 3, 3, 4])
    errors, groups = np.array([1.0, 2, 3, 4, 0, 9]), np.array([0, 1, 2, 3, 3, 4])
    found = calibrate(errors, np.zeros(6), subjects, groups, groups < 4, levels=(0.5, 0.8, 0.9))
    assert found.scales.tolist() == [1] * 6
    assert found.n_subjects.tolist() == [3] * 5 + [4]
    # the 2nd of 3 and the 3rd of 4; the 4th of 4, which 3 have not; the 5th, which none has
    assert found.quantiles.tolist() == [
        [3, 3, 2, 2, 2, 3],
        [np.inf] * 5 + [4],
        [np.inf] * 6,
    ]


def test_scales_are_relative_to_the_mean_spread() -> None:
    groups = np.arange(4)
    spreads = np.array([1.0, 2, 3, 6])
    found = calibrate(np.ones(4), spreads, groups, groups, groups < 3, levels=(0.5,))
    # the mean is of a, b and c in domain, and of all four for the new one
    np.testing.assert_allclose(found.scales, [1.5, 2, 2.5, 3])
    # of scores 1 / scale: the 2nd of those of b and c, a and c, a and b; of 1/1.33, 1/1.67, 1/2
    np.testing.assert_allclose(found.quantiles[0], [1 / 2, 1 / 1.5, 1 / 1.5, 1 / (1 + 2 / 3)])


def test_new_subject_has_the_interval_of_one_of_another_test_set() -> None:
    scores, subjects = draws(20, seed=8, count=1)
    _, every = conformal(scores, subjects, ["val"])
    expected = every[(every["subject"] == "new3") & ~every["quantity"].str.startswith("Margin")]
    of_new = scores[scores["subject"] == "new3"], subjects[subjects["subject"] == "new3"]
    units = pd.concat(
        [
            of_new[1].rename(columns={"predicted": "estimate", "sd": "spread"}),
            of_new[0].assign(
                quantity="Dice " + of_new[0]["structure"],
                unit="",
                estimate=of_new[0]["estimated_dice"],
                spread=1 - of_new[0]["estimated_dice"],
            ),
        ]
    )[["quantity", "unit", "estimate", "spread"]]
    calibration = calibration_of(scores, subjects, ["val"])
    assert calibration["subject"].nunique() == 20
    found = intervals_of_new(calibration, units)
    keys = ["quantity", "nominal", "estimate", "low", "high"]
    one, other = (table[keys].sort_values(keys[:3]).to_numpy() for table in (found, expected))
    assert len(one) == 3 * len(units)
    np.testing.assert_array_equal(one[:, 0], other[:, 0])
    np.testing.assert_allclose(one[:, 1:].astype(float), other[:, 1:].astype(float))


def test_new_subject_is_calibrated_on_those_that_have_the_quantity() -> None:
    """One in-domain subject lacks ED or ES, so that it has a Dice, but no clinical quantities."""
    scores, subjects = draws(20, seed=8, count=1)
    lacking = subjects[subjects["subject"] != "val7"]
    unit = {"quantity": "LVEF", "unit": "%", "estimate": 50.0, "spread": 1.0}
    units = pd.DataFrame([unit, unit | {"quantity": "Dice LV", "unit": ""}])
    found = intervals_of_new(calibration_of(scores, lacking, ["val"]), units)
    ends = [intervals_of_new(calibration_of(scores, subjects, ["val"]), units), found]
    of_dice, of_dice_before = (t.loc[t["quantity"] == "Dice LV", "high"].tolist() for t in ends)
    assert of_dice == of_dice_before
    alone = calibration_of(scores.iloc[:0], lacking, ["val"])  # numbered without the gap
    expected = intervals_of_new(alone, units[:1])
    pd.testing.assert_frame_equal(found[found["quantity"] == "LVEF"], expected)
    assert len(expected) == len(LEVELS)


def test_new_subject_has_no_interval_that_subjects_are_too_few_for() -> None:
    scores, subjects = draws(9, seed=8, count=1)
    units = pd.DataFrame([{"quantity": "LVEF", "unit": "%", "estimate": 50.0, "spread": 0.0}])
    found = intervals_of_new(calibration_of(scores, subjects, ["val"]), units)
    assert found["nominal"].tolist() == [0.8, 0.9]
    assert intervals_of_new(calibration_of(scores, subjects, ["none"]), units).empty


def test_without_clinical_quantities_there_are_dice_and_margins() -> None:
    scores, subjects = draws(5, seed=8, count=1)
    found = conformal(scores, pd.DataFrame(columns=subjects.columns), ["val"])
    expected = conformal(scores, subjects, ["val"])
    for table, whole in zip(found, expected, strict=True):
        of_structures = whole["quantity"].str.startswith(("Dice", "Margin"))
        rows = table[table["quantity"] != ALL].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, whole[of_structures].reset_index(drop=True))


def test_without_in_domain_subjects_intervals_are_infinite() -> None:
    coverage, _ = conformal(*draws(5, seed=8, count=1), ["elsewhere"])
    assert np.isinf(coverage["width"]).all()
    assert (coverage["coverage"] == 1).all()


def test_all_intervals_are_summed_up_relative_to_the_narrowest_valid_ones() -> None:
    scores, subjects = draws(20, seed=9, count=1)
    wider = subjects.assign(method="wider")
    wider["predicted"] = wider["reference"] + 2 * (wider["predicted"] - wider["reference"])
    tables = pd.concat([scores, scores.assign(method="wider")]), pd.concat([subjects, wider])
    coverage, _ = conformal(*(t.reset_index(drop=True) for t in tables), ["val"])
    rows = coverage[(coverage["test_set"] == "val") & (coverage["by"] == "nothing")]
    of_all = rows[rows["quantity"] == ALL].set_index(["method", "nominal"])
    assert (of_all["width"] >= 1).all() and of_all["valid"].all()
    ratio = of_all.loc["wider", "width"] / of_all.loc["0", "width"]
    # 7 of 11 quantities are twice as wide, but where an ejection fraction ends at 100
    np.testing.assert_allclose(ratio, 2 ** (7 / 11), rtol=0.02)


def test_binomial_interval_is_that_of_scipy() -> None:
    successes, trials = np.array([0, 3, 19, 20]), np.array([20, 7, 20, 20])
    low, high = binomial_interval(successes, trials)
    for i, (k, n) in enumerate(zip(successes, trials, strict=True)):
        expected = binomtest(int(k), int(n)).proportion_ci(0.95, "exact")
        assert (low[i], high[i]) == pytest.approx((expected.low, expected.high))


def test_levels_are_those_of_the_documentation() -> None:
    assert LEVELS == (0.8, 0.9, 0.95)
