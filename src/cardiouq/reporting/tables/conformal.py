"""Table of conformal intervals: how often they hold the reference, and how wide they are."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cardiouq.evaluation.conformal import LEVELS, SPREAD, UNSCALED
from cardiouq.reporting.printing import INFINITE, NOTHING, Cell, PrintedTable
from cardiouq.reporting.tables.layout import (
    Labels,
    MadeTable,
    Numbers,
    Settings,
    Tables,
    empty_cell,
    labels_of,
    number_text,
)
from cardiouq.structures import ALL

TOGETHER = {SPREAD: "All intervals", UNSCALED: "All, of one width"}
"""What intervals are scaled by -> label of the block of all quantities."""
DECIMALS = {"": 3}
"""Unit -> decimals of a width, unless 1."""
OF_RATIOS = 2
"""Decimals of a width relative to the narrowest."""


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of coverage and width on the test sets; distorted scans are in the figure."""
    methods, test_sets = labels_of(study)
    rows = tables["conformal"]
    rows = rows[rows["test_set"].isin(list(test_sets))]
    return rows, print_conformal(rows, methods, test_sets, caption)


def print_conformal(
    table: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Lay out, per quantity and method, coverage and width at each level on each test set.

    All quantities together come first: scaled by the method's spread, and of one width.

    Args:
        table: rows of `conformal.csv` on these test sets.
    """
    rows = []
    for label, decimals, block in _blocks(table):
        found: dict[tuple[str, str, float], Numbers] = {
            (row["method"], row["test_set"], row["nominal"]): {str(k): v for k, v in row.items()}
            for row in block.to_dict("records")
        }
        for position, (method, method_label) in enumerate(methods.items()):
            numbers = [found.get((method, t, level)) for t in test_sets for level in LEVELS]
            cells = [_cell(n, decimals) if n else Cell(NOTHING) for n in numbers]
            of_test_sets = [number for number in numbers[:: len(LEVELS)] if number]
            name = label if position == 0 else ""
            rows.append([Cell(name), Cell(method_label), *cells, empty_cell(of_test_sets)])
    return PrintedTable(
        caption,
        "tab:conformal",
        [("", 2), *((label, len(LEVELS)) for label in test_sets.values()), ("", 1)],
        ["Quantity", "Method", *([f"{level:.0%}" for level in LEVELS] * len(test_sets)), "Empty"],
        rows,
    )


def _blocks(table: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """Label, decimals of the width and rows of each block."""
    of_all = table[table["quantity"] == ALL]
    for by, label in TOGETHER.items():
        yield label, OF_RATIOS, of_all[of_all["by"] == by]
    scaled = table[(table["by"] == SPREAD) & (table["quantity"] != ALL)]
    for (quantity, unit), rows in scaled.groupby(["quantity", "unit"], sort=False):
        label = f"{quantity} ({unit})" if unit else str(quantity)
        yield label, DECIMALS.get(str(unit), 1), rows


def _cell(number: Numbers, decimals: int) -> Cell:
    """Print `85 (23.1)`: coverage in % and width.

    A star marks less than promised, a question mark that there are too few subjects to tell.
    """
    mark = {1: "", 0: "*"}.get(number["valid"], "?")
    width = number["width"]
    text = INFINITE if np.isinf(width) else number_text(width, decimals)
    return Cell(f"{100 * number['coverage']:.0f}{mark} ({text})")
