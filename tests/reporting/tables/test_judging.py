"""Verdicts worked out by hand: only the paper's own setting can reproduce its numbers."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.reporting.tables.judging import COLUMNS, make_verdict
from cardiouq.reporting.tables.published import read_claims, read_published
from tests.paths import CONFIG
from tests.reporting.tables.judged import (
    CLAIMS,
    KEYS,
    NUMBERS,
    all_comparisons,
    equal_summary,
    judge,
    paper_test_sets,
    settings,
    with_t_c,
)
from tests.study.changes import set_key


def not_comparable(verdict: pd.DataFrame) -> "pd.Series[bool]":
    return verdict["verdict"] == "not comparable"


@pytest.fixture(scope="module")
def paper() -> dict[str, Any]:
    return settings("zhao2022")


@pytest.mark.parametrize("name", ["laptop", "demo"])
def test_nothing_of_a_smaller_study_is_reproduced_whatever_its_numbers(name: str) -> None:
    study = settings(name)
    verdict = judge(study, equal_summary(study))
    assert len(verdict) == len(NUMBERS) + len(CLAIMS)
    assert not_comparable(verdict).all()
    assert (verdict["reason"] != "").all()
    assert verdict["ours"].notna().all()
    assert (verdict["agrees"] == "yes").all()  # which alone is no reproduction


def test_reasons_of_the_laptop_study_are_its_settings() -> None:
    study = settings("laptop")
    verdict = judge(study, equal_summary(study))
    row = verdict[(verdict["method"] == "mc_dropout") & (verdict["metric"] == "dice")].iloc[0]
    plan, recipe = study["plan"], study["recipes"]["dropout"]
    schedule, passes = recipe["schedule"], study["methods"]["mc_dropout"]["passes"]
    assert row["reason"] == (
        f"plan: spacing {plan['spacing']} instead of null, patch_size {plan['patch_size']} instead "
        f"of null, base_features {plan['base_features']} instead of 32 and 2 more; "
        f"prediction: tile_overlap {study['prediction']['tile_overlap']} instead of 0.5; "
        f"recipe dropout: schedule.epochs {schedule['epochs']} instead of 1000, schedule.alpha_0 "
        f"{schedule['alpha_0']} instead of 0.01, optimiser.name adamw instead of sgd and 8 more; "
        f"method mc_dropout: passes {passes} instead of 30"
    )


def test_reasons_of_the_demo_begin_with_its_data() -> None:
    study = settings("demo")
    verdict = judge(study, equal_summary(study))
    assert (
        verdict["reason"]
        .str.startswith("training data: source phantom instead of acdc_root; test data: source")
        .all()
    )
    assert set(verdict["test_set"]) == set(study["test_sets"])


def test_everything_measured_at_the_paper_s_own_setting_is_reproduced(
    paper: dict[str, Any],
) -> None:
    verdict = judge(paper, equal_summary(paper))
    assert list(verdict.columns) == COLUMNS
    assert (verdict["verdict"] == "reproduced").all(), verdict[verdict["verdict"] != "reproduced"]
    assert (verdict["agrees"] == "yes").all()
    assert (verdict["reason"] == "").all()
    number = verdict[verdict["kind"] == "number"].iloc[0]
    assert number[["what", "table", "published", "ours"]].tolist() == ["Dice RV", "1", 0.911, 0.911]
    claim = verdict[verdict["metric"] == "ece_percent"].iloc[-1]
    assert claim[["method", "versus"]].tolist() == [
        "checkpoint_ensemble_multi",
        "checkpoint_ensemble_single",
    ]
    assert claim[["published", "ours"]].tolist() == [-0.08, -0.08]  # 2.61 - 2.69


CYCLICAL = {"swa", "checkpoint_ensemble_single", "checkpoint_ensemble_multi"}


def involves(verdict: pd.DataFrame, methods: set[str]) -> "pd.Series[bool]":
    return verdict["method"].isin(methods) | verdict["versus"].isin(methods)


@pytest.mark.parametrize(
    ("place", "value", "reason", "depends"),
    [
        (
            ("recipes", "cyclical", "schedule", "gamma"),
            0.5,
            "recipe cyclical: schedule.gamma 0.5 instead of 0.8",
            lambda v: involves(v, CYCLICAL),
        ),
        (
            ("evaluation", "ece", "box"),
            "prediction",
            "evaluation: ece.box prediction instead of reference",
            lambda v: v["metric"] == "ece_percent",
        ),
        (
            ("evaluation", "bootstrap", "confidence"),
            0.999,
            "evaluation: bootstrap.confidence 0.999 instead of 0.95",
            lambda v: v["method"] != "",
        ),
        (
            ("methods", "mc_dropout", "passes"),
            20,
            "method mc_dropout: passes 20 instead of 30",
            lambda v: involves(v, {"mc_dropout"}),
        ),
        (
            ("methods", "swa", "recipe"),
            "polynomial",
            "recipe polynomial: schedule.name polynomial instead of cyclical, schedule.epochs 1000 "
            "instead of 1200, schedule.cycles not set instead of 3 and 3 more",
            lambda v: involves(v, {"swa"}),
        ),
        (
            ("split", "validation_fraction"),
            0.3,
            "split: validation_fraction 0.3 instead of 0.2",
            lambda v: v["method"] != "",
        ),
        (
            ("prediction", "tile_overlap"),
            0.25,
            "prediction: tile_overlap 0.25 instead of 0.5",
            lambda v: v["method"] != "",
        ),
        (
            ("a block of a later version",),
            3,
            "a block of a later version: 3 instead of not set",
            lambda v: v["method"] != "",
        ),
        (
            ("test_sets", "mnms-A", "vendor"),
            "C",
            "test data: vendor C instead of A",
            lambda v: v["test_set"] == "mnms-A",
        ),
        (
            ("datasets", "mnms", "layout"),
            "acdc",
            "test data: layout acdc instead of mnms",
            lambda v: v["test_set"].isin(["mnms-A", "mnms-B"]),
        ),
        (
            ("datasets", "mnms", "source"),
            "phantom",
            "test data: source phantom instead of mnms_root",
            lambda v: v["test_set"].isin(["mnms-A", "mnms-B"]),
        ),
    ],
)
def test_a_changed_setting_touches_exactly_the_rows_that_depend_on_it(
    paper: dict[str, Any],
    place: tuple[str, ...],
    value: Any,
    reason: str,
    depends: Callable[[pd.DataFrame], "pd.Series[bool]"],
) -> None:
    study = set_key(copy.deepcopy(paper), ".".join(place), value)
    verdict = judge(study, equal_summary(study))
    dependent = depends(verdict)
    assert dependent.any()
    pd.testing.assert_series_equal(not_comparable(verdict), dependent, check_names=False)
    assert set(verdict.loc[dependent, "reason"]) == {reason}
    assert set(verdict.loc[~dependent, "verdict"]) <= {"reproduced"}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("title",), "Another"),
        (("seed",), 1),
        (("reporting", "tsne", "perplexity"), 5),
        (("methods", "swa", "label"), "Averaged"),
        (("methods", "swa", "colour"), "#123456"),
        (("test_sets", "mnms-A", "label"), "Siemens"),
        (("recipes", "cyclical", "validation_batches"), 2),
        (("evaluation", "surface", "assd"), "directed"),
        (("evaluation", "poor", "remaining"), 0.1),
    ],
)
def test_a_setting_that_no_number_depends_on_touches_no_row(
    paper: dict[str, Any], place: tuple[str, ...], value: Any
) -> None:
    study = set_key(copy.deepcopy(paper), ".".join(place), value)
    assert (judge(study, equal_summary(study))["verdict"] == "reproduced").all()


def test_names_of_recipes_data_and_test_sets_are_free(paper: dict[str, Any]) -> None:
    study = copy.deepcopy(paper)
    study["recipes"]["waves"] = study["recipes"].pop("cyclical")
    for name in CYCLICAL:
        study["methods"][name]["recipe"] = "waves"
    study["datasets"]["hearts"] = study["datasets"].pop("acdc")
    study["split"]["dataset"] = study["test_sets"]["acdc-val"]["dataset"] = "hearts"
    study["test_sets"]["siemens"] = study["test_sets"].pop("mnms-A")
    verdict = judge(study, equal_summary(study))
    assert (verdict["verdict"] == "reproduced").all()
    assert "siemens" in set(verdict["test_set"])


def test_another_number_of_subjects_touches_its_test_set_alone(paper: dict[str, Any]) -> None:
    summary = equal_summary(paper)
    summary.loc[summary["test_set"] == "acdc-val", "n_subjects"] = 10
    verdict = judge(paper, summary)
    assert not_comparable(verdict).equals(verdict["test_set"] == "acdc-val")
    assert set(verdict.loc[not_comparable(verdict), "reason"]) == {"10 subjects instead of 20"}


def test_a_number_outside_our_interval_is_not_reproduced(paper: dict[str, Any]) -> None:
    summary = equal_summary(paper)
    summary.loc[0, ["value", "low", "high"]] = [0.95, 0.92, 0.97]  # published: .911
    first = judge(paper, summary).iloc[0]
    assert first[["agrees", "verdict"]].tolist() == ["no", "not reproduced"]
    assert first["reason"] == "the published number is not in our interval"


@pytest.mark.parametrize(
    ("ends", "subjects", "reason"),
    [
        ((np.nan, np.nan), 20, "no interval"),
        ((0.90, 0.92), 5, "5 subject(s); 6 are needed to tell"),
    ],
)
def test_without_an_interval_of_enough_subjects_nothing_can_be_told(
    paper: dict[str, Any], ends: tuple[float, float], subjects: int, reason: str
) -> None:
    summary, numbers = equal_summary(paper), NUMBERS.assign(n_subjects=20)
    numbers.loc[0, "n_subjects"] = subjects
    summary["n_subjects"] = 20
    summary.loc[0, ["low", "high", "n_subjects"]] = [*ends, subjects]
    verdict = make_verdict(
        summary, all_comparisons(summary), numbers, CLAIMS, paper, paper, paper_test_sets(paper)
    )
    told = verdict.iloc[0][["agrees", "verdict", "reason"]].tolist()
    assert told == ["cannot be told", "cannot be told", reason]


def judge_claim(
    paper: dict[str, Any], difference: tuple[float, float, float], *, strict: bool, swapped: bool
) -> pd.Series:
    """The verdict on "swa is smaller than vanilla" of ECE, vendor B."""
    summary = equal_summary(paper)
    pair = ("vanilla", "swa") if swapped else ("swa", "vanilla")
    row = ("mnms-B", "volume", "all", "ece_percent", *pair, *difference, 50, 2)
    columns = ["method", "other", "difference", "low", "high", "n_subjects", "n_empty"]
    comparisons = pd.DataFrame([row], columns=[*KEYS, *columns])
    claim = CLAIMS.query("smaller == 'swa' and larger == 'vanilla' and test_set == 'mnms-B'")
    verdict = make_verdict(
        summary,
        comparisons,
        NUMBERS,
        claim.assign(strict=strict),
        paper,
        paper,
        paper_test_sets(paper),
    )
    found = verdict[verdict["kind"] == "claim"]
    assert len(found) == 1
    return found.iloc[0]


OTHER_SIDE = "our interval is on the other side"
INTERVAL = "our interval includes no difference"


@pytest.mark.parametrize(
    ("difference", "strict", "agrees", "verdict", "reason"),
    [
        ((-0.2, -0.3, -0.1), True, "yes", "reproduced", ""),
        ((-0.2, -0.3, 0.1), True, "cannot be told", "cannot be told", INTERVAL),
        ((-0.2, -0.3, 0.0), True, "cannot be told", "cannot be told", INTERVAL),
        ((0.0, -0.1, 0.1), True, "cannot be told", "cannot be told", INTERVAL),
        ((0.2, 0.1, 0.3), True, "no", "not reproduced", OTHER_SIDE),
        ((-0.2, np.nan, np.nan), True, "cannot be told", "cannot be told", "no interval"),
        ((-0.2, -0.3, 0.1), False, "cannot be told", "cannot be told", INTERVAL),
        ((-0.2, -0.3, 0.0), False, "yes", "reproduced", ""),
        ((0.1, 0.05, 0.3), False, "no", "not reproduced", OTHER_SIDE),
    ],
)
def test_a_claim_is_judged_by_its_difference_and_interval(
    paper: dict[str, Any],
    difference: tuple[float, float, float],
    strict: bool,
    agrees: str,
    verdict: str,
    reason: str,
) -> None:
    found = judge_claim(paper, difference, strict=strict, swapped=False)
    assert found[["agrees", "verdict", "reason"]].tolist() == [agrees, verdict, reason]
    assert found["published"] == -0.09  # 3.70 - 3.79


def test_a_pair_may_be_compared_in_either_order(paper: dict[str, Any]) -> None:
    found = judge_claim(paper, (0.2, 0.1, 0.3), strict=True, swapped=True)
    assert found[["ours", "low", "high"]].tolist() == [-0.2, -0.3, -0.1]
    assert found["verdict"] == "reproduced"
    other = judge_claim(paper, (-0.2, -0.3, -0.1), strict=True, swapped=True)
    assert other[["agrees", "reason"]].tolist() == ["no", OTHER_SIDE]


def test_an_unknown_setting_is_never_reproduced(paper: dict[str, Any]) -> None:
    summary = equal_summary(paper)
    verdict = make_verdict(
        summary,
        all_comparisons(summary),
        NUMBERS.assign(unknown=["temperature; schedule", *[""] * (len(NUMBERS) - 1)]),
        CLAIMS.assign(unknown=[*[""] * (len(CLAIMS) - 1), "noise"]),
        paper,
        paper,
        paper_test_sets(paper),
    )
    rows = verdict[not_comparable(verdict)]
    assert rows.index.tolist() == [0, len(verdict) - 1]
    assert rows["reason"].tolist() == ["unknown: temperature, schedule", "unknown: noise"]
    assert rows["agrees"].tolist() == ["yes", "yes"]


def test_an_unknown_number_of_subjects_is_never_reproduced(paper: dict[str, Any]) -> None:
    summary = equal_summary(paper)
    numbers = NUMBERS.assign(n_subjects=np.nan)
    verdict = make_verdict(
        summary, all_comparisons(summary), numbers, CLAIMS, paper, paper, paper_test_sets(paper)
    )
    assert set(verdict["reason"]) == {"unknown: number of subjects"}


def test_what_was_not_measured_is_empty_and_says_why(paper: dict[str, Any]) -> None:
    study = copy.deepcopy(paper)
    del study["methods"]["swa"]
    del study["test_sets"]["mnms-B"]
    summary = equal_summary(study)
    summary = summary[(summary["method"] != "swa") & (summary["structure"] != "LV")]
    summary.loc[(summary["structure"] == "MYO"), ["value", "low", "high"]] = np.nan
    verdict = judge(study, summary)
    of_swa, of_b = involves(verdict, {"swa"}), verdict["test_set"] == "mnms-B"
    without_number = verdict["structure"].isin(["LV", "MYO"])
    unmeasured = of_swa | of_b | without_number
    assert verdict.loc[unmeasured, ["ours", "low", "high"]].isna().all(axis=None)
    assert (verdict.loc[unmeasured, "agrees"] == "").all()
    assert not_comparable(verdict).equals(unmeasured)

    def reasons(rows: "pd.Series[bool]") -> set[str]:
        return set(verdict.loc[rows, "reason"])

    assert reasons(of_swa & ~of_b) == {"method swa is not in this study"}
    assert reasons(of_b & ~of_swa) == {"test set mnms-B is not in this study"}
    assert reasons(of_swa & of_b) == {
        "test set mnms-B is not in this study; method swa is not in this study"
    }
    measurable = ~of_swa & ~of_b
    assert reasons(measurable & (verdict["structure"] == "LV")) == {"metric not measured"}
    assert reasons(measurable & (verdict["structure"] == "MYO")) == {"ours is not a number"}


def test_a_pair_that_was_not_compared_says_so(paper: dict[str, Any]) -> None:
    summary = equal_summary(paper)
    no_pairs = all_comparisons(summary).iloc[:0]
    verdict = make_verdict(
        summary, no_pairs, NUMBERS, CLAIMS, paper, paper, paper_test_sets(paper)
    ).query("kind == 'claim'")
    assert set(verdict["reason"]) == {"difference not measured"}
    assert (verdict["agrees"] == "").all()


@pytest.mark.parametrize("name", ["kushibar2022", "zhao2024"])
def test_a_paper_that_leaves_its_settings_open_is_never_reproduced(name: str) -> None:
    """At its own study, even if ours were its numbers at whichever level it means."""
    study = settings(name)
    numbers = read_published(CONFIG / f"published/{name}.csv")
    claims = read_claims(CONFIG / f"published/{name}_claims.csv")
    beside = paper_test_sets(study)
    ours = [
        numbers.assign(test_set=test_set, level=level, n_subjects=30)
        for level in ("volume", "slice")
        for test_set in beside or study["test_sets"]
    ]
    summary = pd.concat(ours).query("method in @study['methods']")
    summary = summary.assign(low=summary["value"] - 1, high=summary["value"] + 1, n_empty=0)
    verdict = make_verdict(summary, all_comparisons(summary), numbers, claims, study, study, beside)
    assert len(verdict) == len(numbers) + len(claims)
    assert not_comparable(verdict).all()
    has_method = ~involves(verdict, {"multi_head"})
    assert verdict.loc[has_method, "reason"].str.startswith("no counterpart; unknown: ").all()
    missing = verdict.loc[~has_method, "reason"]
    assert missing.str.startswith("no such method: multi_head; unknown: ").all()
    assert len(missing) == (7 if name == "kushibar2022" else 0)


def test_without_the_paper_s_own_study_nothing_is_comparable(paper: dict[str, Any]) -> None:
    summary = equal_summary(paper)
    verdict = make_verdict(
        summary,
        all_comparisons(summary),
        read_published(CONFIG / "published/ng2022.csv"),
        read_claims(CONFIG / "published/ng2022_claims.csv"),
        paper,
        None,
        {},
    )
    assert not_comparable(verdict).all()
    assert verdict["reason"].str.contains("the paper's own setting is not part of").all()


def test_without_its_study_a_paper_s_number_still_stands_beside_ours(
    paper: dict[str, Any],
) -> None:
    summary = equal_summary(paper)
    verdict = make_verdict(
        summary, all_comparisons(summary), NUMBERS, CLAIMS, paper, None, paper_test_sets(paper)
    )
    assert set(verdict["reason"]) == {"the paper's own setting is not part of this version"}
    assert (verdict["agrees"] == "yes").all()


def test_several_of_our_test_sets_may_stand_beside_one_of_the_paper(
    paper: dict[str, Any],
) -> None:
    study = copy.deepcopy(paper)
    study["test_sets"]["again"] = study["test_sets"]["mnms-A"]
    verdict = judge(study, equal_summary(study))
    assert (verdict["test_set"] == "again").sum() == (verdict["test_set"] == "mnms-A").sum() > 0


def test_another_reading_of_the_paper_is_judged_beside_its_own(paper: dict[str, Any]) -> None:
    study = with_t_c(paper)
    summary = equal_summary(paper)
    again = summary[summary["method"].isin(["vanilla", "checkpoint_ensemble_multi"])]
    again = again.assign(method=again["method"] + "_t_c").query("method != 'vanilla_t_c'")
    verdict = judge(study, pd.concat([summary, again], ignore_index=True))
    first, other = (verdict[verdict["reading"] == name] for name in ("", "t_c"))
    assert len(first) == len(NUMBERS) + len(CLAIMS)
    assert (first["verdict"] == "reproduced").all()
    assert set(other["verdict"]) == {"not comparable"}
    numbers = other[(other["kind"] == "number") & (other["agrees"] == "yes")]
    assert set(numbers["method"]) == {"checkpoint_ensemble_multi_t_c"}
    assert numbers["reason"].str.contains("denominator T_c instead of T").all()
    pairs = set(zip(other["method"], other["versus"], strict=True))
    # methods of the recipe stand together, those that it has not in their own place
    assert ("checkpoint_ensemble_multi_t_c", "checkpoint_ensemble_single_t_c") in pairs
    assert ("vanilla", "checkpoint_ensemble_multi_t_c") in pairs
    claims = other[
        (other["versus"] == "checkpoint_ensemble_multi_t_c") & (other["structure"] == "RV")
    ]
    assert (claims["agrees"] == "yes").all() and len(claims) == 3


def test_spread_over_trainings_pairs_what_is_of_the_same_runs(paper: dict[str, Any]) -> None:
    multi, single = "checkpoint_ensemble_multi", "checkpoint_ensemble_single"
    trained = {
        "vanilla": {"0": 4.0, "1": 3.0, "2": 5.0},
        multi: {"0": 1.9, "1": 2.3, "2": 2.7},
        single: {"0": 2.0, "1": 2.4, "2": 2.8},
        "deep_ensemble": {"0 1 2": 3.5},
    }
    where = {"test_set": "mnms-B", "level": "volume", "structure": "all", "metric": "ece_percent"}
    repeats = pd.DataFrame(
        {"method": method, **where, "member": member, "value": value}
        for method, values in trained.items()
        for member, value in values.items()
    )
    verdict = judge(paper, equal_summary(paper), repeats=repeats)
    rows = verdict[(verdict["metric"] == "ece_percent") & (verdict["test_set"] == "mnms-B")]
    spread = rows.set_index(["method", "versus"])[["least", "greatest"]]
    assert spread.loc[("vanilla", "")].tolist() == [3.0, 5.0]
    assert spread.loc[(multi, single)].tolist() == pytest.approx([-0.1, -0.1])
    assert spread.loc[(multi, "deep_ensemble")].isna().all()  # which was trained once
    assert spread.loc[("deep_ensemble", "")].isna().all()
    few = judge(paper, equal_summary(paper), repeats=repeats, n_subjects=5)
    of_claims = few.loc[few["kind"] == "claim", ["agrees", "least", "greatest"]]
    assert set(of_claims["agrees"]) == {"cannot be told"} and of_claims["least"].isna().all()
    other = verdict.drop(rows.index)[["least", "greatest"]]
    assert other.isna().all(axis=None)
