"""Table 2 of Zhao et al. (2022): expected calibration error, the paper's beside ours."""

import pandas as pd

from cardiouq.reporting.printing import Cell, PrintedTable
from cardiouq.reporting.tables.layout import (
    Block,
    Labels,
    MadeTable,
    Settings,
    Tables,
    by_key,
    cell,
    empty_cell,
    labels_of,
    number_text,
)
from cardiouq.reporting.tables.published import beside_ours
from cardiouq.structures import ALL


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of ECE over volumes."""
    rows = beside_ours(tables["summary"], "ece_percent", study)
    return rows, print_ece(rows, tables["comparisons"], *labels_of(study), caption)


def print_ece(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    methods: Labels,
    test_sets: Labels,
    caption: str,
) -> PrintedTable:
    """Lay out Table 2 of Zhao et al. (2022), the paper's column, if any, beside each of ours.

    Args:
        summary: rows of `summary.csv` with the columns of `published.with_published`.
        comparisons: rows of `comparisons.csv`.
    """
    block = Block("ece_percent", "ECE %", structures=[ALL], decimals=2, spread="interval")
    found = by_key(summary, block, comparisons)
    columns = ["ours", "paper"] if summary["published"].notna().any() else ["ours"]
    rows = []
    for method, label in methods.items():
        numbers = [found[method, test_set, ALL] for test_set in test_sets]
        row = [Cell(label)]
        for number in numbers:
            theirs = Cell(number_text(number["published"], 2), quoted=True)
            row += [cell(number, block), theirs][: len(columns)]
        rows.append([*row, empty_cell(numbers)])
    return PrintedTable(
        caption,
        "tab:ece",
        [("", 1), *((label, len(columns)) for label in test_sets.values()), ("", 1)],
        ["Method", *(columns * len(test_sets)), "Empty"],
        rows,
    )
