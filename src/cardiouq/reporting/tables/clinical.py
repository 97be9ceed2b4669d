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
    by_key,
    cell,
    empty_cell,
    labels_of,
)


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of volumes, ejection fractions and mass, over subjects."""
    summary = tables["summary"]
    rows = summary[summary["level"] == "subject"]
    return rows, print_clinical(rows, *labels_of(study), caption)


def print_clinical(
    summary: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Lay out, per quantity and method, bias ± SD, mean absolute error and coverage.

    Args:
        summary: rows of `summary.csv`.
    """
    rows = []
    for quantity, unit in UNITS.items():
        blocks = [
            Block("bias", "", "subject", [quantity], 1, None, "sd"),
            Block("absolute_error", "", "subject", [quantity], 1),
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
        [("", 2), *((label, 3) for label in test_sets.values()), ("", 1)],
        ["Quantity", "Method", *(["bias", "MAE", "coverage %"] * len(test_sets)), "Empty"],
        rows,
    )
