"""The table of verdicts, as it is printed."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.reporting.printing import NOTHING, table_in, to_html, to_latex, to_markdown
from cardiouq.reporting.tables.verdict import count_verdicts, print_verdict
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
            "ours": float(n),
        }
        | {"published": np.nan, "low": np.nan, "high": np.nan, "n_empty": 2}
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
        "Of 4 numbers and claims of zhao2022: 1 reproduced, 1 not reproduced, 2 not comparable. "
        "2 of 3 published numbers lie in our interval. 0 of 1 published orderings are ours too, "
        "0 of them with an interval without 0."
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
    ],
)
def test_findings_of_all_methods_are_one_row(agrees: list[str], who: str) -> None:
    table = verdicts("finding", agrees, verdict="not comparable", reason="in words")
    [row] = print_verdict(table, {"m0": "Vanilla"}, {"blur": "Blurred"}, "").rows
    texts = [cell.text for cell in row]
    assert texts[1:4] == ["It falls", who, "Blurred"]
    assert texts[5:9] == ["0 to 2", NOTHING, "6", f"{agrees.count('yes')} of 3"]


def test_verdicts_are_counted_by_outcome_and_by_what_agrees() -> None:
    rows = [
        ("number", "reproduced", "yes"),
        ("number", "not comparable", "no"),
        ("number", "not comparable", ""),
        ("claim", "not reproduced", "no"),
        ("claim", "reproduced", "yes"),
        ("finding", "not comparable", "yes"),
        ("finding", "not comparable", "no"),
    ]
    verdict = pd.DataFrame(rows, columns=["kind", "verdict", "agrees"]).assign(
        paper="zhao2022", high=-0.1, what="It falls", test_set=["blur"] * 6 + ["noise"]
    )
    assert list(count_verdicts(verdict)) == [
        "Of 5 numbers and claims of zhao2022: 2 reproduced, 1 not reproduced, 2 not comparable.",
        "1 of 2 published numbers lie in our interval.",
        "1 of 2 published orderings are ours too, 1 of them with an interval without 0.",
        "1 of 2 findings that ng2022 states in words hold for each of its methods that is in this "
        "study.",
    ]
    findings = verdict[verdict["kind"] == "finding"]
    assert len(list(count_verdicts(findings))) == 1
