"""Table of the clinical quantities of each method against the reference's own."""

import pandas as pd

from cardiouq.evaluation.clinical import UNITS
from cardiouq.reporting.printing import NOTHING, Cell, PrintedTable
from cardiouq.reporting.tables.layout import (
    Block,
    Labels,
    MadeTable,
    Settings,
    Tables,
    beside,
    by_key,
    cell,
    empty_cell,
    labels_of,
)


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of volumes, ejection fractions and mass, over subjects."""
    summary = tables["summary"]
    rows = summary[summary["level"] == "subject"]
    if rows.empty:
        caption += " No subject has a case at ED and one at ES, so there is none."
    return rows, print_clinical(rows, *labels_of(study), caption)


def without_empty_intervals(summary: pd.DataFrame) -> pd.DataFrame:
    """Let nothing be printed instead of the coverage by intervals that have no width.

    They are of one sample, which promises nothing that could hold.
    """
    has_no_width = beside(summary, "interval_width") == 0
    is_none = (summary["metric"] == "coverage_percent") & has_no_width
    return summary.assign(instead=is_none.map({True: NOTHING, False: ""}))


def print_clinical(
    summary: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Lay out, per quantity and method, bias ± SD, mean absolute error, CRPS and coverage.

    Args:
        summary: rows of `summary.csv`.
    """
    summary = without_empty_intervals(summary)
    rows = []
    for quantity, unit in UNITS.items():
        blocks = [
            Block("bias", "", "subject", [quantity], 1, None, "sd"),
            Block("absolute_error", "", "subject", [quantity], 1, None, spread="interval"),
            Block("crps", "", "subject", [quantity], 1, None),
            Block("coverage_percent", "", "subject", [quantity], 0, None),
        ]
        found = [by_key(summary, block) for block in blocks]
        for position, (method, label) in enumerate(methods.items()):
            row = [Cell(f"{quantity} ({unit})" if position == 0 else ""), Cell(label)]
            numbers = [of.get((method, t, quantity)) for t in test_sets for of in found]
            row += [
                cell(number, blocks[i % len(blocks)]) if number else Cell(NOTHING)
                for i, number in enumerate(numbers)
            ]
            of_quantity = [number for number in numbers[:: len(blocks)] if number]
            rows.append([*row, empty_cell(of_quantity)])
    return PrintedTable(
        caption,
        "tab:clinical",
        [("", 2), *((label, 4) for label in test_sets.values()), ("", 1)],
        ["Quantity", "Method", *(["bias", "MAE", "CRPS", "coverage %"] * len(test_sets)), "Empty"],
        rows,
    )
