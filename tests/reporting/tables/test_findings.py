"""Findings in words, on curves made to show them or not."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cardiouq.files.documents import read_yaml
from cardiouq.reporting.tables.findings import BEST, COMPARED, PAPER, check_findings
from cardiouq.reporting.tables.judging import COLUMNS
from cardiouq.reporting.tables.verdict import make


def distortions(n_subjects: int = 6, **curves: list[float]) -> pd.DataFrame:
    """Mean Dice and median entropy by degree of `<method>__<kind>__<metric>`."""
    names = {"dice": ("foreground", "dice"), "entropy": ("all", "predictive_entropy_bits")}
    rows: list[dict[str, Any]] = []
    for key, values in curves.items():
        method, kind, what = key.split("__")
        structure, metric = names[what]
        for place, value in enumerate(values):
            rows.append(
                {
                    "method": method,
                    "kind": kind,
                    "place": place,
                    "degree": place / 10,
                    "structure": structure,
                    "metric": metric,
                    "n_subjects": n_subjects,
                    "n_empty": 1,
                    "mean": value,
                    "median": value,
                }
            )
    return pd.DataFrame(rows)


def summary(n_subjects: int = 6, **spearman: float) -> pd.DataFrame:
    """Correlations with ASSD of one method, the same for every structure."""
    rows = [
        {
            "method": "bbb",
            "test_set": "val",
            "level": "slice",
            "structure": structure,
            "metric": f"spearman_{name}_assd_mm",
            "value": value,
            "n_subjects": n_subjects,
            "n_empty": 2,
        }
        for name, value in spearman.items()
        for structure in ("RV", "MYO", "LV")
    ]
    return pd.DataFrame(rows)


NO_SUMMARY = summary(
    assd_within_mm=0, dice_within=0, predictive_entropy_bits=0.4, mutual_information_bits=0
)


def agreed(table: pd.DataFrame, start: str) -> list[str]:
    return table.loc[table["what"].str.startswith(start), "agrees"].tolist()


def test_methods_are_called_as_in_the_paper_s_own_study(repository: Path) -> None:
    own = read_yaml(repository / "config" / "studies" / f"{PAPER}.yaml")
    assert set(COMPARED) <= own["methods"].keys()
    assert set(BEST.values()) <= set(COMPARED)
    assert BEST.keys() == own["distortions"]["kinds"].keys()


@pytest.mark.parametrize(("dice", "expected"), [([0.9, 0.8, 0.7], "yes"), ([0.9, 0.7, 0.8], "no")])
def test_accuracy_falls_only_if_no_degree_gains_any(dice: list[float], expected: str) -> None:
    table = distortions(bbb__blur__dice=dice, bbb__blur__entropy=[1, 2, 1])
    found = check_findings(table, NO_SUMMARY)
    assert list(found.columns) == COLUMNS
    assert agreed(found, "Accuracy falls") == [expected]
    assert found["ours"].iloc[0] == pytest.approx(dice[0] - dice[-1])
    assert set(found["verdict"]) == {"not comparable"}


@pytest.mark.parametrize(
    ("kind", "entropy", "expected"),
    [
        ("noise", [1, 2, 3, 2], "yes"),
        ("noise", [1, 2, 3, 4], "no"),  # still rising
        ("noise", [4, 3, 2, 1], "no"),  # never rose
        ("blur", [1, 2, 1, 0], "yes"),
        ("stretch", [1, 2, 3, 4], "yes"),
        ("stretch", [1, 2, 4, 3], "no"),
    ],
)
def test_uncertainty_is_past_its_peak_but_under_stretch(
    kind: str, entropy: list[float], expected: str
) -> None:
    curves = {f"bbb__{kind}__dice": [0.9, 0.8, 0.7, 0.6], f"bbb__{kind}__entropy": entropy}
    found = check_findings(distortions(**curves), NO_SUMMARY)
    assert agreed(found, "Uncertainty") == [expected]
    assert found.loc[found["what"].str.startswith("Unc"), "ours"].item() == entropy.index(
        max(entropy)
    )


@pytest.mark.parametrize(
    ("kind", "best", "expected"),
    [("noise", "bbb", "yes"), ("blur", "ssn", "yes"), ("blur", "deep_ensemble", "no")],
)
def test_best_method_leads_the_paper_s_others(kind: str, best: str, expected: str) -> None:
    curves = {
        # better without distortion, which does not count
        f"{m}__{kind}__dice": [1.0, 0.5, 0.5] if m != best else [0.9, 0.6, 0.6]
        for m in ("vanilla", "deep_ensemble", "bbb", "ssn")
    }
    curves |= {f"own__{kind}__dice": [0.9, 0.9, 0.9]}  # not the paper's
    curves |= {key.replace("dice", "entropy"): [1, 2, 1] for key in curves}
    found = check_findings(distortions(**curves), NO_SUMMARY)
    assert agreed(found, "Most accurate") == [expected]
    lead = found.loc[found["what"].str.startswith("Most"), "ours"].item()
    assert lead == pytest.approx(0.1 if expected == "yes" else -0.1)


def test_of_few_subjects_nothing_can_be_told() -> None:
    curves = {"bbb__blur__dice": [0.9, 0.8], "vanilla__blur__dice": [0.9, 0.7]}
    curves |= {key.replace("dice", "entropy"): [1, 2] for key in curves}
    measures = {"predictive_entropy_bits": 0.4, "mutual_information_bits": 0.3}
    correlations = summary(5, assd_within_mm=0.6, dice_within=0.5, **measures)
    found = check_findings(distortions(5, **curves), correlations)
    assert len(found) == 2 + 2 + 1
    assert set(found["agrees"]) == {"cannot be told"}


def test_assd_within_leads_the_other_measures() -> None:
    table = distortions(bbb__noise__dice=[0.9, 0.8], bbb__noise__entropy=[1, 2])
    measures = {"predictive_entropy_bits": 0.4, "mutual_information_bits": 0.3}
    found = check_findings(table, summary(assd_within_mm=0.6, dice_within=0.5, **measures))
    assert agreed(found, "ASSD_within") == ["yes"]
    assert found["ours"].iloc[-1] == pytest.approx(0.1)
    found = check_findings(table, summary(assd_within_mm=0.6, dice_within=0.7, **measures))
    assert agreed(found, "ASSD_within") == ["no"]
    assert agreed(check_findings(table, NO_SUMMARY), "ASSD_within") == []


def test_study_beside_no_paper_has_a_table_of_findings_alone() -> None:
    study = {
        "methods": {"bbb": {"label": "BBB"}},
        "test_sets": {"val": {"label": "Validation", "published": None}},
        "distortions": {"test_set": "val", "subjects": None, "kinds": {"noise": [0.1]}},
        "reporting": {"published": None},
    }
    distorted = distortions(bbb__noise__dice=[0.9, 0.8], bbb__noise__entropy=[1, 2])
    summary_ = NO_SUMMARY.assign(n_subjects=2, low=0.0, high=1.0)
    columns = ["method", "other", "test_set", "level", "structure", "metric"]
    comparisons = pd.DataFrame(columns=[*columns, "difference", "low", "high", "n_empty"])
    reviewed = pd.DataFrame(columns=["method", "test_set", "structure", "by", "n_empty"])
    found = {"summary": summary_, "comparisons": comparisons, "quality_control": reviewed}
    found["distortions"] = distorted.assign(n_subjects=2)
    rows, printed = make(found, study, "A caption.")
    assert set(rows["kind"]) == {"finding"}
    assert len(printed.rows) == len(rows) == 2
