"""Table of each published number, claim and finding with ours beside it and a verdict."""

from collections.abc import Mapping

import pandas as pd

from cardiouq.reporting.printing import NOTHING, Cell, PrintedTable
from cardiouq.reporting.tables.derived import derive_numbers
from cardiouq.reporting.tables.findings import check_findings
from cardiouq.reporting.tables.judging import make_verdict
from cardiouq.reporting.tables.layout import MadeTable, Settings, Tables, labels_of
from cardiouq.reporting.tables.published import Paper, find_paper_test_sets, read_paper


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of verdicts on the study's paper and, with distortions, on findings."""
    rows = judge(tables, study, read_paper(study))
    return rows, print_verdict(rows, *labels_of(study), caption)


def judge(tables: Tables, study: Settings, paper: Paper) -> pd.DataFrame:
    """Judge the paper's numbers and claims and, of a study that distorts scans, its findings.

    Args:
        tables: `summary` and `comparisons`; of a study that distorts scans `distortions` and
            `quality_control` too, from which the summary is completed.
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
    )
    return pd.concat([verdicts, *findings], ignore_index=True)


def print_verdict(
    table: pd.DataFrame, methods: Mapping[str, str], test_sets: Mapping[str, str], caption: str
) -> PrintedTable:
    """Lay the verdicts out, one row each; of a claim, numbers are differences of the two methods.

    Args:
        table: from `make_verdict`.
        methods, test_sets: key -> printed label; keys without one are printed as they are.
    """
    numbers = ["Published", "Ours", "95 % interval", "Empty"]
    columns = ["Table", "What", "Method", "Test set", *numbers, "Agrees", "Verdict", "Reason"]
    rows = []
    for row in table.to_dict("records"):
        pair = [methods.get(key, key) for key in (row["method"], row["versus"]) if key]
        has_interval = pd.notna(row["low"])
        rows.append(
            [
                Cell(row["table"]),
                Cell(row["what"]),
                Cell(" vs. ".join(pair)),
                Cell(test_sets.get(row["test_set"], row["test_set"])),
                Cell(_printed(row["published"]), quoted=True),
                Cell(_printed(row["ours"])),
                Cell(f"[{row['low']:.3g}, {row['high']:.3g}]" if has_interval else NOTHING),
                Cell(NOTHING if pd.isna(row["n_empty"]) else f"{row['n_empty']:g}"),
                Cell(row["agrees"]),
                Cell(row["verdict"]),
                Cell(row["reason"]),
            ]
        )
    return PrintedTable(caption, "tab:verdict", [("", len(columns))], columns, rows)


def _printed(number: float) -> str:
    return NOTHING if pd.isna(number) else f"{number:.3g}"
