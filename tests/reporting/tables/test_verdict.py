"""The table of verdicts, as it is printed."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.files.writing import atomic_write
from cardiouq.reporting.printing import NOTHING, table_in, to_html, to_latex, to_markdown
from cardiouq.reporting.tables.verdict import count_verdicts, print_verdict, read_verdict
from tests.reporting.tables.judged import equal_summary, judge, settings


def test_the_verdict_is_printed_with_labels_and_without_gaps() -> None:
    study = settings("zhao2022")
    del study["methods"]["swa"]
    verdict = judge(study, equal_summary(study).query("method != 'swa'"))
    methods = {name: block["label"] for name, block in study["methods"].items()}
    test_sets = {name: block["label"] for name, block in study["test_sets"].items()}
    table = print_verdict(verdict, methods, test_sets, "Paper versus ours")
    texts = [[cell.text for cell in row] for row in table.rows]
    first = ["1", "Dice RV", "Vanilla", "ACDC validation (ID)", "0.911", "0.911", "[0.910, 0.912]"]
    assert texts[0] == [*first, "1", "yes", "reproduced", ""]
    of_swa = texts[verdict["method"].tolist().index("swa")]
    assert of_swa[2] == "swa"  # has no label, as it is not in the study
    assert of_swa[5:8] == [NOTHING, NOTHING, NOTHING]
    assert of_swa[8:] == ["", "not comparable", "1"]
    assert table.notes == ["method swa is not in this study"]
    assert texts[-1][2] == "Ckpt. Ens. (Multi) vs. Ckpt. Ens. (Single)"
    assert texts[-1][4:7] == ["-0.0800", "-0.0800", "[-0.0809, -0.0791]"]
    assert {len(row) for row in texts} == {len(table.columns)} == {11}
    for written in (to_markdown(table), to_latex(table), table_in(to_html(table))):
        assert "nan" not in written.lower()
        assert "Reason" in written
        assert written.count("is not in this study") == 1


def verdicts(kind: str, agrees: list[str], **columns: Any) -> pd.DataFrame:
    """A row for each of some methods, m0, m1 and so on."""
    return pd.DataFrame(
        {"kind": kind, "method": f"m{n}", "versus": "", "agrees": yes}
        | {
            "paper": "zhao2022",
            "table": "",
            "what": "It falls",
            "test_set": "blur",
            "metric": "dice",
            "structure": "all",
            "ours": float(n),
        }
        | {"published": np.nan, "n_empty": 2, "reading": ""}
        | dict.fromkeys(("low", "high", "least", "greatest"), np.nan)
        | columns
        for n, yes in enumerate(agrees)
    )


def test_verdicts_are_counted_first() -> None:
    table = pd.concat(
        [
            verdicts("number", ["yes", "no"], verdict="not comparable", reason="a; b"),
            verdicts("number", ["yes"], verdict="reproduced", reason=""),
            verdicts("claim", ["no"], verdict="not reproduced", reason="c"),
        ]
    )
    said = (
        "Of 4 numbers and claims of zhao2022: 1 reproduced, 1 not reproduced, 0 cannot be told, "
        "2 not comparable. 2 of 3 published numbers lie in our interval. Of 1 published orderings "
        "0 are ours too, 1 are the other way round and 0 cannot be told."
    )
    printed = print_verdict(table, {}, {}, "Paper versus ours")
    assert printed.caption == f"{said} Paper versus ours"
    assert printed.notes == ["a", "b", "c"]
    assert [row[-1].text for row in printed.rows] == ["1, 2", "1, 2", "", "3"]


@pytest.mark.parametrize(
    ("agrees", "who"),
    [
        (["yes"] * 3, "all methods"),
        (["no", "yes", "yes"], "all but Vanilla"),
        (["no", "yes", "no"], "m1"),
        (["no"] * 3, "no method"),
        (["cannot be told"] * 3, "all methods"),
    ],
)
def test_findings_of_all_methods_are_one_row(agrees: list[str], who: str) -> None:
    table = verdicts("finding", agrees, verdict="not comparable", reason="in words")
    [row] = print_verdict(table, {"m0": "Vanilla"}, {"blur": "Blurred"}, "").rows
    texts = [cell.text for cell in row]
    assert texts[1:4] == ["It falls", who, "Blurred"]
    told = f"{agrees.count('yes')} of 3" if agrees[0] != "cannot be told" else agrees[0]
    assert texts[5:9] == ["0 to 2", NOTHING, "6", told]


def test_a_claim_says_of_which_metric_and_structure_its_numbers_are() -> None:
    claims = verdicts("claim", ["yes"] * 2, versus="m9", verdict="", reason="")
    claims = claims.assign(metric=["assd_mm", "nll_nats"], structure=["RV", "all"])
    printed = print_verdict(claims, {}, {}, "").rows
    assert [row[1].text for row in printed] == ["It falls: ASSD (mm) RV", "It falls: NLL (nats)"]


def test_rows_without_a_table_of_the_paper_are_sorted_as_others() -> None:
    table = pd.concat(
        [
            verdicts("number", ["yes"], table="1", verdict="", reason=""),
            verdicts("number", ["yes"], verdict="", reason=""),
            verdicts("finding", ["yes"], verdict="", reason=""),
        ]
    )
    printed = print_verdict(table, {}, {}, "")
    assert [row[0].text for row in printed.rows] == ["1", NOTHING, NOTHING]
    assert "follows" not in table_in(to_html(printed))


@pytest.mark.parametrize(
    ("number", "text"), [(1307.4, "1307"), (999.96, "1000"), (940.0, "940"), (-0.0, "0")]
)
def test_numbers_are_printed_without_powers_of_ten(number: float, text: str) -> None:
    table = verdicts("number", ["yes"], verdict="", reason="")
    [row] = print_verdict(table.assign(ours=number), {}, {}, "").rows
    assert row[5].text == text


def test_verdicts_are_counted_by_outcome_and_by_what_agrees(tmp_path: Path) -> None:
    rows = [
        ("number", "reproduced", "yes", "", np.nan, np.nan),
        ("number", "not comparable", "no", "", np.nan, np.nan),
        ("number", "not comparable", "cannot be told", "", np.nan, np.nan),
        ("number", "not comparable", "", "", np.nan, np.nan),
        ("claim", "not reproduced", "no", "", 0.1, 0.3),
        ("claim", "reproduced", "yes", "", -0.2, -0.1),
        ("claim", "cannot be told", "cannot be told", "", -0.2, 0.1),
        ("claim", "not comparable", "yes", "cyclical_t_c", np.nan, np.nan),
        ("finding", "not comparable", "yes", "", np.nan, np.nan),
        ("finding", "not comparable", "no", "", np.nan, np.nan),
        ("finding", "not comparable", "cannot be told", "", np.nan, np.nan),
    ]
    columns = ["kind", "verdict", "agrees", "reading", "least", "greatest"]
    verdict = pd.DataFrame(rows, columns=columns).assign(
        paper="zhao2022", what="It falls", test_set=["blur"] * 9 + ["noise", "stretch"]
    )
    with atomic_write(tmp_path / "verdict.csv") as temporary:
        verdict.to_csv(temporary, index=False)
    assert list(count_verdicts(read_verdict(tmp_path / "verdict.csv"))) == [
        "Of 7 numbers and claims of zhao2022: 2 reproduced, 1 not reproduced, 1 cannot be told, "
        "3 not comparable.",
        "1 of 2 published numbers lie in our interval. Of 3 published orderings 1 are ours too, 1 "
        "are the other way round and 1 cannot be told. Of the 3 between methods of several "
        "trainings 1 hold in all of these, 1 are the other way round in all.",
        "By another reading of the paper (cyclical_t_c): Of 1 published orderings 1 are ours too, "
        "0 are the other way round and 0 cannot be told.",
        "1 of 2 findings that ng2022 states in words hold, by the sign of our numbers, for each of "
        "its methods that is in this study.",
    ]
    findings = verdict[verdict["kind"] == "finding"]
    assert len(list(count_verdicts(findings))) == 1
    assert len(list(count_verdicts(verdict.iloc[2:4]))) == 1  # numbers that cannot be told


def test_what_is_not_told_of_few_subjects_is_one_row() -> None:
    table = verdicts("finding", ["cannot be told"] * 3, verdict="not comparable", reason="")
    [row] = print_verdict(table, {}, {}, "").rows
    assert row[8].text == "cannot be told"
    assert row[2].text == "all methods"


def test_range_over_trainings_has_a_column_where_there_is_one() -> None:
    table = verdicts(
        "claim", ["yes"], verdict="reproduced", reason="", least=-0.25, greatest=-0.125
    )
    printed = print_verdict(table, {}, {}, "")
    assert printed.columns[6:8] == ["Interval", "Over seeds"]
    assert printed.rows[0][7].text == "[-0.250, -0.125]"
