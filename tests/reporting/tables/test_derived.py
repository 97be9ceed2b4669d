"""The numbers that only ng2022 gives, worked out by hand from made tables."""

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.files.documents import read_yaml
from cardiouq.reporting.tables.derived import COLUMNS, derive_numbers
from cardiouq.reporting.tables.published import Paper, read_claims, read_published
from cardiouq.reporting.tables.verdict import judge
from tests.paths import CONFIG

NUMBERS = read_published(CONFIG / "published/ng2022.csv")
CLAIMS = read_claims(CONFIG / "published/ng2022_claims.csv")
STRUCTURES = ("RV", "MYO", "LV")
ENTROPIES = ("predictive_entropy_bits", "mutual_information_bits")
ENTROPY = {"bbb": [1, 3, 4, 5, 2], "deep_ensemble": [1, 2, 3, 2, 1], "vanilla": [3, 2, 2, 2, 1]}
"""Median bits by degree of noise; under blur twice as many."""
WITHIN = {"RV": [0, 1, 2, 3, 4], "MYO": [0, 2, 2, 6, 1], "LV": [0, 6, 2, 9, 1]}
"""Median mm by degree of blur, of bbb; of deep_ensemble twice as many, of vanilla 0."""
CORRELATIONS = {
    ("bbb", "val"): [0.5, 0.6, 0.7],
    ("deep_ensemble", "val"): [0.4, 0.8, np.nan],
    ("vanilla", "val"): [0, 0, 0],
    ("bbb", "shifted"): [-0.1, 0.2, 0.1],
    ("deep_ensemble", "shifted"): [0.3, 0.1, 0],
    ("vanilla", "shifted"): [0, 0, 0],
}
"""Of RV, MYO and LV."""
FLAGGED = {"bbb": [40, 50, 60], "deep_ensemble": [30, 31, 32], "vanilla": [80, 81, 82]}
RANDOM = {"bbb": [70, 75, 80], "deep_ensemble": [72, 76, 83], "vanilla": [80, 80, 80]}
HOURS = {"bbb": (500, 200), "deep_ensemble": (450, 300), "vanilla": (900, 900)}
"""Saved against random review and against slice position."""


def distortions() -> pd.DataFrame:
    rows = []
    for method, bits in ENTROPY.items():
        times = {"bbb": 1, "deep_ensemble": 2, "vanilla": 0}[method]
        for place in range(5):
            for kind, factor in (("noise", 1), ("blur", 2)):
                keys = {"method": method, "kind": kind, "place": place, "n_subjects": 7}
                entropy = {"structure": "all", "metric": "predictive_entropy_bits", "n_empty": 0}
                rows.append(keys | entropy | {"median": factor * bits[place]})
                for structure, medians in (WITHIN | {"foreground": [99] * 5}).items():
                    within = {"structure": structure, "metric": "assd_within_mm", "n_empty": place}
                    rows.append(keys | within | {"median": times * medians[place]})
                dice = {"structure": "foreground", "metric": "dice", "n_empty": 0}
                rows.append(keys | dice | {"median": 0.9, "mean": 0.9})
    return pd.DataFrame(rows)


def summary() -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for (method, test_set), values in CORRELATIONS.items():
        where = {"method": method, "test_set": test_set, "level": "slice", "n_subjects": 9}
        for structure, value, n_empty in zip(STRUCTURES, values, (1, 2, 3), strict=True):
            keys = where | {"structure": structure, "n_empty": n_empty}
            for name in ("assd_within_mm", "dice_within", *ENTROPIES):
                metric = {"metric": f"spearman_{name}_assd_mm", "value": value}
                rows.append(keys | metric | {"low": 0.0, "high": 1.0})
            flagged = FLAGGED[method][n_empty - 1] + 10 * (test_set == "shifted")
            metric = {"metric": "flagged_percent_assd_within_mm", "value": flagged}
            rows.append(keys | metric | {"low": flagged - 20, "high": flagged + 20})
            if structure == "LV":  # neither of which counts
                correlation = rows[-5]
                assert correlation["metric"] == "spearman_assd_within_mm_assd_mm"
                rows.append(correlation | {"structure": "foreground", "value": 0.99})
                rows.append(correlation | {"level": "volume", "value": 0.98})
    return pd.DataFrame(rows)


def quality_control() -> pd.DataFrame:
    rows = []
    for test_set in ("val", "shifted"):
        for method, random in RANDOM.items():
            of_random, of_position = HOURS[method]
            hours = {"hours_saved_random": of_random, "hours_saved_slice_position": of_position}
            more = 1000 * (test_set == "shifted")
            keys = {"method": method, "test_set": test_set}
            for structure, flagged in zip((*STRUCTURES, "all"), (*random, -1), strict=True):
                of = keys | {"structure": structure, "n_empty": 4}
                rows.append(of | {"by": "random", "flagged_percent": flagged + more})
                saved = {name: value + more for name, value in hours.items()}
                if structure != "all":
                    saved = dict.fromkeys(saved, 5000)
                rows.append(of | {"by": "assd_within", "flagged_percent": 5} | saved)
                oracle = dict.fromkeys(saved, 9000)
                rows.append(of | {"by": "oracle", "flagged_percent": 1} | oracle)
    return pd.DataFrame(rows)


def derived() -> pd.DataFrame:
    return derive_numbers(summary(), distortions(), quality_control(), "val")


def of_metric(metric: str) -> pd.DataFrame:
    table = derived()
    return table[table["metric"] == metric].set_index(["method", "test_set", "structure"])


def test_rows_have_the_summary_s_columns_and_each_number_once() -> None:
    table = derived()
    assert list(table.columns) == COLUMNS
    assert set(table["level"]) == {"slice"}
    assert not table.duplicated(COLUMNS[:5]).any()
    no_interval = table["metric"] != "flagged_percent_assd_within_mm"
    assert table.loc[no_interval, ["low", "high"]].isna().all(axis=None)


def test_median_entropy_is_in_nats() -> None:
    found = of_metric("predictive_entropy_nats_median")
    assert len(found) == 3 * 2 * 4  # methods, kinds, degrees; not the original
    noise = [found.loc[("bbb", f"val+noise-{k}", "all"), "value"] for k in (1, 2, 3, 4)]
    assert noise == pytest.approx([2.0794415, 2.7725887, 3.4657359, 1.3862944])
    assert found.loc[("bbb", "val+blur-4", "all"), "value"] == pytest.approx(2.7725887)
    assert set(found["n_subjects"]) == {7}


def test_median_assd_within_is_the_mean_over_structures() -> None:
    found = of_metric("assd_within_mm_median")
    assert len(found) == 3 * 2 * 4
    blur = [found.loc[("bbb", f"val+blur-{k}", "all"), "value"] for k in (1, 2, 3, 4)]
    assert blur == pytest.approx([3, 2, 6, 2])
    assert found.loc[("deep_ensemble", "val+blur-3", "all"), "value"] == pytest.approx(12)
    assert found.loc[("bbb", "val+blur-4", "all"), ["n_subjects", "n_empty"]].tolist() == [7, 12]


def test_degree_of_largest_uncertainty_is_a_place_and_may_be_the_original() -> None:
    found = of_metric("noise_degree_of_largest_uncertainty")["value"]
    assert found.to_dict() == {
        ("bbb", "noise", "all"): 3,
        ("deep_ensemble", "noise", "all"): 2,
        ("vanilla", "noise", "all"): 0,
    }


@pytest.mark.parametrize(
    ("end", "val", "shifted"), [("min", (0.4, 1), (-0.1, 1)), ("max", (0.8, 2), (0.3, 1))]
)
def test_range_of_correlations_is_over_methods_of_several_samples(
    end: str, val: tuple[float, int], shifted: tuple[float, int]
) -> None:
    found = of_metric(f"spearman_assd_within_mm_assd_mm_{end}")
    assert len(found) == 2
    for test_set, expected in (("val", val), ("shifted", shifted)):
        row = found.loc[("any", test_set, "all")]
        assert (row["value"], row["n_empty"]) == expected
        assert row["n_subjects"] == 9


def test_quality_control_is_that_on_the_test_set_that_is_distorted() -> None:
    found = of_metric("flagged_percent_assd_within_mm")
    assert len(found) == 9
    columns = ["value", "low", "high", "n_subjects", "n_empty"]
    assert found.loc[("deep_ensemble", "", "LV"), columns].tolist() == [32, 12, 52, 9, 3]
    random = of_metric("flagged_percent_random")
    assert random["value"].to_dict() == {
        ("any", "", "RV"): 74,  # (70 + 72 + 80) / 3
        ("any", "", "MYO"): 77,
        ("any", "", "LV"): 81,
    }
    assert set(random["n_empty"]) == {12}
    assert set(random["n_subjects"]) == {9}


@pytest.mark.parametrize(("against", "most"), [("random_review", 500), ("slice_position", 300)])
def test_most_hours_are_saved_by_a_method_of_several_samples(against: str, most: int) -> None:
    found = of_metric(f"hours_saved_per_10000_subjects_against_{against}")
    assert found["value"].to_dict() == {("any", "", "all"): most}


def test_methods_of_one_sample_alone_have_no_range_and_save_nothing() -> None:
    tables = [t[t["method"] == "vanilla"] for t in (summary(), distortions(), quality_control())]
    table = derive_numbers(tables[0], tables[1], tables[2], "val")
    assert table.loc[table["method"] == "any", "metric"].unique() == ["flagged_percent_random"]


def study(**distorted: Any) -> dict[str, Any]:
    """ng2022's own, but that the test sets have the names of the made tables."""
    settings = copy.deepcopy(read_yaml(CONFIG / "studies/ng2022.yaml"))
    names = {"ukbb-test": "val", "acdc": "shifted"}
    settings["test_sets"] = {names[k]: block for k, block in settings["test_sets"].items()}
    settings["distortions"] |= {"test_set": "val"} | distorted
    return settings


def verdict(settings: dict[str, Any]) -> pd.DataFrame:
    keys = ["method", "other", "test_set", "level", "structure", "metric"]
    comparisons = pd.DataFrame(columns=[*keys, "difference", "low", "high", "n_empty"])
    found = {"summary": summary(), "comparisons": comparisons, "distortions": distortions()}
    found["quality_control"] = quality_control()
    own = read_yaml(CONFIG / "studies/ng2022.yaml")
    return judge(found, settings, Paper(NUMBERS, CLAIMS, own))


def test_the_paper_s_numbers_have_ours_beside_them() -> None:
    rows = verdict(study()).query("kind == 'number' and not metric.str.startswith('p100')")
    nats = [2.0794415, 3.4657359, 1.3862944]
    expected = [*nats, 3, 6, 2, 3, None, None, 2, 0.4, 0.8, -0.1, 0.3]
    expected += [32, 31, 30, 81, 77, 74, 500, 300]
    ours = [float("nan") if value is None else value for value in expected]
    assert rows["ours"].tolist() == pytest.approx(ours, nan_ok=True)
    absent = rows["ours"].isna()
    assert rows.loc[absent, "method"].tolist() == ["mcd_0_1", "mcd_0_5"]
    agrees = rows["agrees"].tolist()
    assert agrees[14:17] == ["yes", "yes", "yes"]  # within our interval
    assert agrees[7:9] == ["", ""]
    assert {*agrees[:7], *agrees[9:14], *agrees[17:]} == {"cannot be told"}  # no interval
    assert set(rows["verdict"]) == {"not comparable"}
    assert rows["reason"].str.contains("unknown: ").all()


def test_the_cost_of_the_paper_s_device_has_no_counterpart() -> None:
    rows = verdict(study()).query("kind == 'number' and metric.str.startswith('p100')")
    assert len(rows) == 9
    assert rows["ours"].isna().all()
    assert rows["reason"].str.startswith("no counterpart; ").all()


def test_a_claim_against_random_review_keeps_its_published_difference() -> None:
    rows = verdict(study()).query("kind == 'claim' and versus == 'random_review'")
    assert rows["published"].tolist() == [-44, -37, -27]
    assert rows["reason"].str.startswith("difference not measured; ").all()


def test_no_degree_is_beside_the_paper_s_unless_the_study_says_which() -> None:
    settings = study()
    del settings["distortions"]["published"]
    rows = verdict(settings).query("kind == 'number'").set_index("test_set")
    assert np.isnan(rows.loc["noise-slight", "ours"])
    assert rows.loc["noise-slight", "reason"].startswith("test set noise-slight is not in")
    assert rows.loc["noise", "ours"].notna().any()


def test_reasons_name_another_distortion_and_no_method_of_any() -> None:
    own = verdict(study()).query("kind == 'number'")
    assert not own["reason"].str.contains("test data|is not in the paper's own study").any()
    kinds = {"noise": [0.05, 0.07, 0.09, 0.10], "blur": [1, 2, 3, 4]}
    rows = verdict(study(kinds=kinds, subjects=2)).query("kind == 'number'")
    reasons = rows.drop_duplicates("test_set").set_index("test_set")["reason"]
    few = "distortion.subjects 2 instead of null"
    assert f"; test data: {few}" in reasons["val+noise-1"]
    degree = "distortion.degree 0.09 instead of 0.08"
    assert f"; test data: {degree}, {few}" in reasons["val+noise-3"]
    degrees = "distortion.degree [0.05, 0.07, 0.09, 0.1] instead of [0.05, 0.07, 0.08, 0.1]"
    assert f"; test data: {degrees}, {few}" in reasons["noise"]
    assert "test data" not in reasons["shifted"]
