"""The numbers of a whole study: a method that predicts nothing is last, and never lost."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, spearmanr, wilcoxon

from cardiouq.errors import CardiouqError
from cardiouq.evaluation.comparison import MOST_ENUMERATED, compare_pairs, rank_methods, summarise
from cardiouq.evaluation.scoring import score_method
from cardiouq.evaluation.statistics import TABLES, Group, Key, compute_statistics
from cardiouq.structures import N_CLASSES, STRUCTURES
from tests.evaluation.conftest import SETTINGS, study_maker

METHODS = ("nothing", "fair", "good")
SUBJECTS = ("a", "b", "c", "d", "e", "f")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """Three methods on six subjects: one predicts background only, the samples of the others
    spread as far as their mean is wrong."""
    make = study_maker(tmp_path_factory.mktemp("study"))
    shifts: dict[str, dict[str, Sequence[int] | None]] = {
        "nothing": dict.fromkeys(SUBJECTS),
        "fair": {s: [i % 4, i % 4, 2 * (i % 4)] for i, s in enumerate(SUBJECTS)},
        "good": {s: [i % 2, i % 2, 2 * (i % 2)] for i, s in enumerate(SUBJECTS)},
    }
    found = [score_method(name, *make(name, **shifts[name])) for name in METHODS]
    return {name: pd.concat([of[name] for of in found], ignore_index=True) for name in TABLES}


def compute(tables: dict[str, pd.DataFrame], **changes: Any) -> Any:
    settings = SETTINGS | changes
    return compute_statistics(tables, METHODS, ["id"], settings, seed=1)


@pytest.fixture(scope="module")
def statistics(tables: dict[str, pd.DataFrame]) -> Any:
    return compute(tables)


@pytest.fixture(scope="module")
def summary(statistics: Any) -> pd.DataFrame:
    return summarise(statistics[0], 0.95)


@pytest.fixture(scope="module")
def varied(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables with random errors of either sign, intervals that miss some of the truths, and
    distances in another order than Dice."""
    rng = np.random.default_rng(0)
    subjects, scores = tables["subjects"].copy(), tables["scores"].copy()
    subjects["predicted"] += rng.normal(3, 5, len(subjects))
    subjects["low"] = subjects["reference"] - rng.choice([0, -1], len(subjects))
    subjects["high"] = subjects["low"] + rng.uniform(2, 3, len(subjects))
    subjects["crps"] = rng.uniform(0, 9, len(subjects))
    scores["assd_mm"] = rng.permutation(scores["assd_mm"])
    return tables | {"subjects": subjects, "scores": scores}


@pytest.fixture(scope="module")
def values(varied: dict[str, pd.DataFrame]) -> Any:
    """Each number of the varied tables by (method, level, structure, metric)."""
    summary = summarise(compute(varied)[0], 0.95)
    return summary.set_index(["method", "level", "structure", "metric"])["value"].sort_index()


def test_every_method_has_every_number(summary: pd.DataFrame) -> None:
    keys = ["level", "structure", "metric"]
    found = [set(map(tuple, rows[keys].to_numpy())) for _, rows in summary.groupby("method")]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 300
    assert np.isfinite(summary["value"]).all()
    without = summary[summary[["low", "high"]].isna().any(axis=1)]
    assert without["metric"].str.startswith("auroc_failure").all()


def test_means_and_deviations_are_those_of_the_cases(
    summary: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> None:
    scores = tables["scores"].groupby(["method", "structure"])
    for metric in ("dice", "hd95_mm", "assd_within_mm"):
        rows = summary.query("level == 'volume' and metric == @metric and structure != 'mean'")
        rows = rows.set_index(["method", "structure"]).sort_index()
        np.testing.assert_allclose(rows["value"], scores[metric].mean())
        np.testing.assert_allclose(rows["sd"], scores[metric].std(ddof=1), atol=1e-12)
        assert set(rows["n_cases"]) == {12} and set(rows["n_subjects"]) == {6}
    slices = tables["slice_scores"].groupby(["method", "structure"])["dice"].mean()
    rows = summary.query("level == 'slice' and metric == 'dice'")
    np.testing.assert_allclose(
        rows.set_index(["method", "structure"])["value"].sort_index(), slices
    )


@pytest.mark.parametrize("metric", ["dice", "aurc_estimated_dice"])
def test_mean_over_structures_is_that_of_their_numbers_and_is_compared(
    statistics: Any, metric: str
) -> None:
    summary, pairs = summarise(statistics[0], 0.95), compare_pairs(*statistics, METHODS, 0.95)
    rows = summary[(summary["level"] == "volume") & (summary["metric"] == metric)]
    of_good = rows[rows["method"] == "good"].set_index("structure")
    three, mean = of_good.loc[["RV", "MYO", "LV"]], of_good.loc["mean"]
    assert mean["value"] == pytest.approx(three["value"].mean())
    # no wider than the mean of the structures' own intervals, as these do not vary as one
    assert three["low"].mean() <= mean["low"] < mean["value"] < mean["high"]
    assert mean["n_empty"] == three["n_empty"].sum()
    differences = pairs[(pairs["level"] == "volume") & (pairs["metric"] == metric)]
    of_pair = differences.query("method == 'fair' and other == 'good'").set_index("structure")
    parts = of_pair.loc[["RV", "MYO", "LV"], "difference"]
    assert of_pair.loc["mean", "difference"] == pytest.approx(parts.mean())
    assert set(of_pair["n_subjects"]) == {6}


def test_missed_structures_are_counted(summary: pd.DataFrame) -> None:
    dice = summary.query("metric == 'dice'").set_index(["method", "level", "structure"])["n_empty"]
    assert dice["nothing", "volume", "RV"] == 12
    assert dice["nothing", "slice", "RV"] == 36
    assert dice["good", "volume", "RV"] == 0
    assert dice["good", "slice", "RV"] == 12  # one of three slices holds no heart
    alone = summary.query("metric == 'one_empty_percent' and level == 'slice'")
    alone = alone.set_index(["method", "structure"])["value"]
    assert alone["nothing", "RV"] == pytest.approx(200 / 3)
    assert alone["good", "RV"] == 0


def test_clinical_numbers_are_means_over_subjects(
    varied: dict[str, pd.DataFrame], values: Any
) -> None:
    rows = varied["subjects"]
    error = rows["predicted"] - rows["reference"]
    held = (rows["low"] <= rows["reference"]) & (rows["reference"] <= rows["high"])
    for metric, of_rows in {
        "bias": error,
        "absolute_error": error.abs(),
        "coverage_percent": 100.0 * held,
        "interval_width": rows["high"] - rows["low"],
        "crps": rows["crps"],
    }.items():
        means = of_rows.groupby([rows["method"], rows["quantity"]]).mean()
        for (method, quantity), mean in means.items():
            assert values[method, "subject", quantity, metric] == pytest.approx(mean)


def test_uncertainty_is_ranked_against_the_error_that_its_number_names(
    varied: dict[str, pd.DataFrame], values: Any
) -> None:
    scores = varied["scores"].query("method == 'fair' and structure == 'RV'").set_index("case")
    voxels = varied["voxels"].query("method == 'fair'").set_index("case").loc[scores.index]
    of_fair, entropy = values["fair", "volume", "RV"], "predictive_entropy_bits"
    for name, error in {"dice": 1 - scores["dice"], "assd_mm": scores["assd_mm"]}.items():
        rho = spearmanr(voxels[entropy], error).statistic
        assert of_fair[f"spearman_{entropy}_{name}"] == pytest.approx(rho)
    gain, area = of_fair["aurc_gain_estimated_dice"], of_fair["aurc_estimated_dice"]
    assert gain + area == pytest.approx((1 - scores["dice"]).mean())


def test_intervals_hold_the_number(summary: pd.DataFrame) -> None:
    dice = summary.query("metric == 'dice' and method == 'fair'")
    assert (dice["low"] < dice["value"]).all() and (dice["value"] < dice["high"]).all()


SMALLER_IS_WORSE = (
    "dice",
    "surface_dice",
    "spearman",
    "auroc_failure",
    "aurc_gain",
    "coverage_percent",
    "pairwise_dice",
    "dice_within",
    "precision_certain",
)
NO_QUALITY = (
    "entropy",
    "mutual_information",
    "variance",
    "within",
    "pairwise_dice",
    "bias",
    "interval_width",
    "maximum_ce",
    "average_ce",
    "image_ece",
    "aula",
    "sensitivity_possible",
)
"""Names of uncertainty itself, of signed errors and of errors that weigh bins, not voxels, or all
voxels of an image: none says that a segmentation is bad. A heat map that rules out nothing has
full sensitivity."""


def test_a_method_that_predicts_nothing_is_worst_by_every_measure_of_quality(
    summary: pd.DataFrame,
) -> None:
    judged = 0
    for (level, structure, metric), rows in summary.groupby(["level", "structure", "metric"]):
        name = str(metric)
        ranking = name.startswith(("spearman", "au", "quality_control", "flagged"))
        if name in ("estimated_dice", "forest_dice") or (
            not ranking and any(part in name for part in NO_QUALITY)
        ):
            continue
        values = rows.set_index("method")["value"]
        sign = 1 if name.startswith(SMALLER_IS_WORSE) else -1
        others = sign * values.drop("nothing")
        assert sign * values["nothing"] <= others.min() + 1e-9, (level, structure, metric, values)
        judged += 1
    assert judged > 150


def test_a_method_that_predicts_nothing_ranks_last(statistics: Any) -> None:
    ranks = rank_methods(statistics[0], METHODS, 0.95)
    nothing = ranks.query("method == 'nothing'")
    assert (nothing["rank"] == 3).all()
    assert (nothing["first_percent"] == 0).all()
    totals = ranks.groupby(["level", "structure", "metric"])["rank"].sum()
    assert (totals == 6).all()


def test_differences_are_those_of_the_means_and_tested_by_subject(
    statistics: Any, summary: pd.DataFrame, tables: dict[str, pd.DataFrame]
) -> None:
    pairs = compare_pairs(*statistics, METHODS, 0.95)
    value = summary.set_index(["method", "level", "structure", "metric"])["value"]
    for row in pairs.itertuples():
        what = (row.level, row.structure, row.metric)
        expected = value[row.method, *what] - value[row.other, *what]
        assert row.difference == pytest.approx(expected)
        assert row.low <= row.difference <= row.high
    by_subject = tables["scores"].query("structure == 'RV'").groupby(["method", "subject"])["dice"]
    means = by_subject.mean()
    expected_p = wilcoxon((means["fair"] - means["good"]).round(12)).pvalue
    found = pairs.set_index(["level", "structure", "metric", "method", "other"])
    assert found.loc[("volume", "RV", "dice", "fair", "good"), "p"] == pytest.approx(expected_p)
    tested = pairs["p"].notna()
    dice = pairs[tested & (pairs["level"] == "volume") & (pairs["metric"] == "dice")]
    adjusted = false_discovery_control(dice["p"], method="by")  # over pairs and structures
    np.testing.assert_allclose(dice["p_adjusted"], adjusted)
    assert (pairs.loc[tested, "p_adjusted"] >= pairs.loc[tested, "p"]).all()
    # voxels are pooled, ranks are of all cases, and a mean of structures is tested by structure
    untested = pairs[~tested & (pairs["structure"] != "mean")]
    assert set(untested["metric"]) == {"ece_percent", "aurc_estimated_dice"}


def test_empty_masks_of_both_methods_of_a_pair_are_counted(statistics: Any) -> None:
    pairs = compare_pairs(*statistics, METHODS, 0.95)
    rows = pairs.set_index(["level", "structure", "metric", "method", "other"])["n_empty"]
    assert rows["volume", "RV", "dice", "nothing", "good"] == 12  # all of the one
    assert rows["slice", "RV", "dice", "fair", "good"] == 12 + 12


@pytest.mark.parametrize("metric", ["dice", "assd_mm"])
def test_a_method_is_first_in_the_resamples_in_which_its_number_is_best(
    varied: dict[str, pd.DataFrame], metric: str
) -> None:
    statistics = compute(varied)[0]
    ranks = rank_methods(statistics, METHODS, 0.95)
    rows = ranks[(ranks["level"] == "volume") & (ranks["structure"] == "RV")]
    found = rows[rows["metric"] == metric].set_index("method")["first_percent"]
    of_methods = [statistics[Key(m, "id", "volume", "RV", metric)].values[1:] for m in METHODS]
    best = np.max(of_methods, 0) if metric == "dice" else np.min(of_methods, 0)
    np.testing.assert_allclose(found[list(METHODS)], 100 * (of_methods == best).mean(1))
    if metric == "assd_mm":
        assert found.between(0, 100, inclusive="neither").sum() >= 2


@pytest.mark.parametrize("subjects", [1, 2, 7, MOST_ENUMERATED, MOST_ENUMERATED + 1, 60])
def test_each_pair_has_the_p_that_scipy_gives_it_alone(subjects: int) -> None:
    rng = np.random.default_rng(subjects)
    untied = rng.normal(0.2, 1, (8, subjects))
    tied = rng.integers(-2, 4, (8, subjects)) / 4  # with each other and with 0
    differences = rng.permutation(np.concatenate([untied, tied, np.zeros((1, subjects))]))
    methods = ["none", *map(str, range(len(differences)))]
    names = np.array([f"s{number:02}" for number in range(subjects)])
    group = Group(pd.Index(names), names, np.ones((2, subjects)))
    statistics = {
        Key(method, "id", "volume", "RV", "dice"): group.mean(of_cases, np.zeros(subjects))
        for method, of_cases in zip(methods, [np.zeros(subjects), *-differences], strict=True)
    }
    groups = {("id", "volume"): group}
    found = compare_pairs(statistics, groups, methods, 0.95).query("method == 'none'")
    expected = [wilcoxon(row.round(12)).pvalue if row.any() else 1 for row in differences]
    np.testing.assert_allclose(found["p"], expected, rtol=1e-12)


def test_equal_methods_do_not_differ(tables: dict[str, pd.DataFrame]) -> None:
    twins = {
        name: pd.concat(
            [
                table[table["method"] == "fair"].assign(method=method)
                for method in ("nothing", "fair")
            ]
            + [table[table["method"] == "good"]]
        )
        for name, table in tables.items()
    }
    statistics = compute(twins)
    pairs = compare_pairs(*statistics, METHODS, 0.95).query("method == 'nothing' & other == 'fair'")
    assert (pairs[["difference", "low", "high"]] == 0).all(axis=None)
    assert (pairs["p"].dropna() == 1).all()
    ranks = rank_methods(statistics[0], METHODS, 0.95).query("metric == 'dice'")
    shared = ranks.pivot(index=["level", "structure"], columns="method", values="rank")
    assert (shared["nothing"] == shared["fair"]).all()


def test_a_single_subject_has_numbers_and_no_intervals(tables: dict[str, pd.DataFrame]) -> None:
    one = {name: table[table["subject"] == "b"] for name, table in tables.items()}
    statistics = compute(one)
    summary = summarise(statistics[0], 0.95)
    assert summary["value"].notna().all()
    assert summary[["low", "high"]].isna().all(axis=None)
    assert (compare_pairs(*statistics, METHODS, 0.95)["p"].dropna() == 1).all()
    ranks = rank_methods(statistics[0], METHODS, 0.95)
    assert ranks["rank"].notna().all() and ranks["first_percent"].isna().all()


def test_ece_over_voxels_pools_them_and_over_volumes_is_their_mean(
    tables: dict[str, pd.DataFrame],
) -> None:
    key = Key("fair", "id", "volume", "all", "ece_percent")
    bins = tables["calibration"].query("method == 'fair' and label == 'top'")
    sums = bins.groupby("bin")[["voxels", "confidence", "correct"]].sum()
    pooled = (sums["correct"] - sums["confidence"]).abs().sum() / sums["voxels"].sum()
    found = compute(tables)[0][key]
    assert found.values[0] == pytest.approx(100 * pooled)
    gap = (bins["correct"] - bins["confidence"]).abs().groupby(bins["case"]).sum()
    mean = (gap / bins.groupby("case")["voxels"].sum()).mean()
    ece = SETTINGS["ece"] | {"pool": "volumes"}
    assert compute(tables, ece=ece)[0][key].values[0] == pytest.approx(100 * mean)


def test_class_wise_ece_pools_each_class_and_adaptive_ce_is_the_mean_of_volumes(
    tables: dict[str, pd.DataFrame], values: Any
) -> None:
    bins = tables["calibration"].query("method == 'fair' and label != 'top'")
    sums = bins.groupby(["label", "bin"])[["voxels", "confidence", "correct"]].sum()
    gap = (sums["correct"] - sums["confidence"]).abs().groupby("label").sum()
    of_classes = gap / sums["voxels"].groupby("label").sum()
    assert len(of_classes) == N_CLASSES
    of_fair = values["fair", "volume", "all"]
    assert of_fair["classwise_ece_percent"] == pytest.approx(100 * of_classes.mean())
    adaptive = tables["voxels"].query("method == 'fair'")["adaptive_ce"].mean()
    assert of_fair["adaptive_ce_percent"] == pytest.approx(100 * adaptive)


def test_errors_of_images_are_means_over_structures_and_images(
    tables: dict[str, pd.DataFrame],
) -> None:
    bins = tables["image_calibration"].query("method == 'fair'")
    gap = ((bins["correct"] - bins["confidence"]) / bins["voxels"]).abs()
    keys = [bins["case"], bins["label"]]
    whole = bins.groupby(["case", "label"])["voxels"].transform("sum")
    expected = {
        "image_ece_percent": (gap * bins["voxels"] / whole).groupby(keys).sum(),
        "image_average_ce_percent": gap.groupby(keys).mean(),
        "image_maximum_ce_percent": gap.groupby(keys).max(),
    }
    statistics = compute(tables)[0]
    for metric, values in expected.items():
        assert len(values) == 12 * len(STRUCTURES)
        found = statistics[Key("fair", "id", "volume", "all", metric)]
        assert found.values[0] == pytest.approx(100 * values.mean())


def test_a_score_that_is_not_a_number_is_refused(tables: dict[str, pd.DataFrame]) -> None:
    scores = tables["scores"].copy()
    scores.loc[scores["method"] == "good", "hd95_mm"] = np.nan
    with pytest.raises(CardiouqError, match=r"good on id.*no number for hd95_mm.*a_ED"):
        compute(tables | {"scores": scores})


def test_methods_scored_on_other_volumes_are_refused(tables: dict[str, pd.DataFrame]) -> None:
    fewer = {
        name: table[(table["method"] != "good") | (table["subject"] != "c")]
        for name, table in tables.items()
    }
    with pytest.raises(CardiouqError, match=r"good on id, RV: 10 volumes.*the 12 of the first"):
        compute(fewer)


def test_a_method_without_scores_is_named(tables: dict[str, pd.DataFrame]) -> None:
    subjects = tables["subjects"].query("method != 'fair'")
    with pytest.raises(CardiouqError, match=r"subjects\.csv of fair: no rows of id"):
        compute(tables | {"subjects": subjects})
