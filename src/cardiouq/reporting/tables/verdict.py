"""Table of each published number, claim and finding with ours beside it and a verdict."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cardiouq.files.tables import read_rows
from cardiouq.reporting.printing import NOTHING, Cell, PrintedTable
from cardiouq.reporting.tables.derived import derive_numbers
from cardiouq.reporting.tables.findings import check_findings
from cardiouq.reporting.tables.judging import (
    NO,
    UNMEASURED,
    UNTOLD,
    VERDICTS,
    YES,
    make_verdict,
    name_number,
)
from cardiouq.reporting.tables.layout import (
    Labels,
    MadeTable,
    Settings,
    Tables,
    labels_of,
)
from cardiouq.reporting.tables.published import Paper, find_paper_test_sets, read_paper

SEEDS = "Over seeds"
"""Column that is left out where nothing is repeated."""
FINDING = "finding"
"""Kind of the rows of `check_findings`."""
WHICH = ["what", "test_set"]
"""Columns that say which finding a row is of; it has a row for each method."""


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of verdicts on the study's paper and, with distortions, on findings."""
    rows = judge(tables, study, read_paper(study))
    return rows, print_verdict(rows, *labels_of(study), caption)


def judge(tables: Tables, study: Settings, paper: Paper) -> pd.DataFrame:
    """Judge the paper's numbers and claims and, of a study that distorts scans, its findings.

    Args:
        tables: `summary` and `comparisons`; `repeats` of a study that repeats trainings;
            `distortions` and `quality_control` of one that distorts scans, which complete the
            summary.
        study: settings of the study that ran.
        paper: what the paper says.
    """
    summary = tables["summary"]
    numbers, findings = [summary], []
    if "distortions" in tables:
        derived_from = tables["distortions"], tables["quality_control"]
        numbers.append(derive_numbers(summary, *derived_from, study["distortions"]["test_set"]))
        findings.append(check_findings(tables["distortions"], summary))
    verdicts = make_verdict(
        pd.concat(numbers, ignore_index=True),
        tables["comparisons"],
        paper.numbers,
        paper.claims,
        study,
        paper.study,
        find_paper_test_sets(study),
        tables.get("repeats"),
    )
    return pd.concat([verdicts, *findings], ignore_index=True)


def read_verdict(path: str | Path) -> pd.DataFrame:
    """Read the rows of `verdict.csv`; only what was measured are numbers."""
    return read_rows(path, dict.fromkeys(UNMEASURED, float))


def count_verdicts(table: pd.DataFrame) -> Iterator[str]:
    """Count what was reproduced, and what agrees of what was measured, a sentence each.

    Args:
        table: from `judge` or `read_verdict`.
    """
    of_papers, findings = table[table["kind"] != FINDING], table[table["kind"] == FINDING]
    judged = of_papers[of_papers["reading"] == ""]
    if len(judged):
        each = [f"{(judged['verdict'] == name).sum()} {name}" for name in VERDICTS]
        paper = judged["paper"].iloc[0]
        yield f"Of {len(judged)} numbers and claims of {paper}: {', '.join(each)}."
    measured = of_papers[of_papers["agrees"] != ""]
    for reading in measured["reading"].unique():
        where = [f"By another reading of the paper ({reading}):"] if reading else []
        if said := list(_count_agreements(measured[measured["reading"] == reading])):
            yield " ".join([*where, *said])
    told = findings[findings["agrees"] != UNTOLD]
    if len(told):
        of_all = (told["agrees"] == YES).groupby([told[name] for name in WHICH]).all()
        yield (
            f"{of_all.sum()} of {len(of_all)} findings that ng2022 states in words hold, by the "
            "sign of our numbers, for each of its methods that is in this study."
        )


def _count_agreements(measured: pd.DataFrame) -> Iterator[str]:
    """Count what agrees of the numbers and the orderings of one reading of a paper."""
    numbers, claims = (measured[measured["kind"] == kind] for kind in ("number", "claim"))
    told = numbers[numbers["agrees"] != UNTOLD]
    if len(told):
        agreeing = (told["agrees"] == YES).sum()
        yield f"{agreeing} of {len(told)} published numbers lie in our interval."
    if len(claims):
        each = [(claims["agrees"] == name).sum() for name in (YES, NO, UNTOLD)]
        yield (
            f"Of {len(claims)} published orderings {each[0]} are ours too, {each[1]} are the other "
            f"way round and {each[2]} cannot be told."
        )
    repeated = claims[claims["greatest"].notna()]
    if len(repeated):
        always = (repeated["greatest"] < 0).sum(), (repeated["least"] > 0).sum()
        yield (
            f"Of the {len(repeated)} between methods of several trainings {always[0]} hold in all "
            f"of these, {always[1]} are the other way round in all."
        )


def print_verdict(
    table: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Lay the verdicts out: counts, a row for each number and claim, and findings folded.

    Of a claim, numbers are differences of the two methods. A reason is told once, as a note. Of a
    finding there is one row for all methods, with the range of ours and who does not agree.

    Args:
        table: from `judge`.
        methods, test_sets: key -> printed label; keys without one are printed as they are.
    """
    numbers = ["Published", "Ours", "Interval", SEEDS, "Empty"]
    columns = ["Table", "What", "Method", "Test set", *numbers, "Agrees", "Verdict", "Reason"]
    reasons = list(dict.fromkeys(reason for text in table["reason"] for reason in _apart(text)))
    is_finding = table["kind"] == FINDING
    rows = [_row(row, methods) for row in table[~is_finding].to_dict("records")]
    folded = table[is_finding].groupby(WHICH, sort=False)
    rows += [_folded(of_finding, methods) for _, of_finding in folded]
    for row in rows:
        row[3] = test_sets.get(row[3], row[3])
        numbers_of_notes = sorted(1 + reasons.index(reason) for reason in _apart(row[-1]))
        row[-1] = ", ".join(map(str, numbers_of_notes))
    if table["least"].isna().all():
        position = columns.index(SEEDS)
        for row in (columns, *rows):
            del row[position]
    return PrintedTable(
        " ".join([*count_verdicts(table), caption]),
        "tab:verdict",
        [("", len(columns))],
        columns,
        [
            [
                Cell(text, quoted=name == "Published")
                for name, text in zip(columns, row, strict=True)
            ]
            for row in rows
        ],
        notes=reasons,
    )


def _row(row: Mapping[Any, Any], methods: Labels) -> list[str]:
    """The texts of a number's or a claim's verdict."""
    pair = [methods.get(key, key) for key in (row["method"], row["versus"]) if key]
    what = row["what"]
    if row["kind"] == "claim":  # whose text may be of several metrics and structures
        what += f": {name_number(row['metric'], row['structure'])}"
    return [
        row["table"] or NOTHING,
        what,
        " vs. ".join(pair),
        row["test_set"],
        _printed(row["published"]),
        _printed(row["ours"]),
        _between(row["low"], row["high"]),
        _between(row["least"], row["greatest"]),
        NOTHING if pd.isna(row["n_empty"]) else f"{row['n_empty']:g}",
        row["agrees"],
        row["verdict"],
        row["reason"],
    ]


def _folded(rows: pd.DataFrame, methods: Labels) -> list[str]:
    """The texts of a finding's verdicts on all methods in one row."""
    first, agrees = rows.iloc[0], rows["agrees"] == YES
    is_untold = (rows["agrees"] == UNTOLD).all()
    if len(rows) == 1:
        return _row(rows.to_dict("records")[0], methods)
    disagreeing = _labels(rows.loc[~agrees, "method"], methods)
    agreeing = _labels(rows.loc[agrees, "method"], methods)
    who = ", ".join(agreeing) or "no method"
    if is_untold or not disagreeing:
        who = "all methods"
    elif len(disagreeing) <= len(agreeing):
        who = f"all but {', '.join(disagreeing)}"
    return [
        first["table"] or NOTHING,
        first["what"],
        who,
        first["test_set"],
        NOTHING,
        f"{_printed(rows['ours'].min())} to {_printed(rows['ours'].max())}",
        NOTHING,
        NOTHING,
        f"{rows['n_empty'].sum():g}",
        UNTOLD if is_untold else f"{agrees.sum()} of {len(rows)}",
        first["verdict"],
        first["reason"],
    ]


def _labels(names: "pd.Series[str]", methods: Labels) -> list[str]:
    """Printed labels of methods, in the order of the study."""
    order = list(methods)
    known = sorted(names, key=lambda name: order.index(name) if name in order else len(order))
    return [methods.get(name, name) for name in known]


def _apart(reasons: str) -> list[str]:
    """Each of the reasons that a verdict has."""
    return reasons.split("; ") if reasons else []


def _between(low: float, high: float) -> str:
    return f"[{_printed(low)}, {_printed(high)}]" if pd.notna(low) else NOTHING


def _printed(number: float) -> str:
    """Three digits or, from 1000 on, all, zeros at the end too; places and counts are whole."""
    if pd.isna(number):
        return NOTHING
    if number == round(number) or abs(number) >= 999.5:
        return f"{number + 0.0:.0f}"  # -0 becomes 0
    return f"{number:#.3g}".removesuffix(".")
