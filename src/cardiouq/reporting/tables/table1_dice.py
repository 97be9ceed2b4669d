"""Table 1 of Zhao et al. (2022): Dice of each structure, the paper's beside ours."""

import pandas as pd

from cardiouq.reporting.printing import NOTHING, Cell, PrintedTable
from cardiouq.reporting.tables.layout import (
    Block,
    Labels,
    MadeTable,
    Numbers,
    Settings,
    Tables,
    by_key,
    cell,
    empty_cell,
    labels_of,
    number_text,
    plus_minus,
)
from cardiouq.reporting.tables.published import beside_ours
from cardiouq.structures import STRUCTURES


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of Dice over volumes."""
    rows = beside_ours(tables["summary"], "dice", study)
    return rows, print_dice(rows, tables["comparisons"], *labels_of(study), caption)


def print_dice(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    methods: Labels,
    test_sets: Labels,
    caption: str,
) -> PrintedTable:
    """Lay out Table 1 of Zhao et al. (2022); below each of our rows its intervals and the paper's.

    Args:
        summary: rows of `summary.csv` with the columns of `published.with_published`.
        comparisons: rows of `comparisons.csv`.
    """
    block = Block("dice", "Dice", larger_is_better=True, spread="sd")
    found = by_key(summary, block, comparisons)
    keys = [(test_set, structure) for test_set in test_sets for structure in STRUCTURES]
    rows = []
    for method, label in methods.items():
        numbers = [found[method, *key] for key in keys]
        ours = [cell(number, block) for number in numbers]
        rows.append([Cell(label), Cell("ours"), *ours, empty_cell(numbers)])
        if any(pd.notna(number["low"]) for number in numbers):
            rows.append(
                [Cell(""), Cell("interval", quoted=True), *map(_interval_cell, numbers), Cell("")]
            )
        if any(pd.notna(number["published"]) for number in numbers):
            theirs = [
                Cell(plus_minus(number["published"], number["published_sd"], 3), quoted=True)
                for number in numbers
            ]
            rows.append([Cell(""), Cell("paper", quoted=True), *theirs, Cell("")])
    return PrintedTable(
        caption,
        "tab:dice",
        [("", 2), *((label, len(STRUCTURES)) for label in test_sets.values()), ("", 1)],
        ["Method", "", *(structure for _, structure in keys), "Empty"],
        rows,
    )


def _interval_cell(number: Numbers) -> Cell:
    """The interval of a mean, in the form of the numbers."""
    if pd.isna(number["low"]):
        return Cell(NOTHING, quoted=True)
    return Cell(f"[{number_text(number['low'], 3)}, {number_text(number['high'], 3)}]", quoted=True)
