"""Table of the ranks of the methods."""

import pandas as pd

from cardiouq.reporting.printing import Cell, PrintedTable
from cardiouq.reporting.tables.layout import (
    COMPARED,
    Labels,
    MadeTable,
    Numbers,
    Settings,
    Tables,
    empty_cell,
    labels_of,
    records,
    with_interval,
)


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of every rank, with those of a few metrics in print."""
    return tables["ranks"], print_ranks(tables["ranks"], *labels_of(study), caption)


def print_ranks(
    ranks: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Lay out rank and interval of each method by Dice, ASSD, NLL and ECE.

    Args:
        ranks: rows of `ranks.csv`.
    """
    keys = [(block.metric, block.structures[0]) for block in COMPARED]
    found = records(ranks, ["method", "test_set", "metric", "structure"])
    rows = []
    for method, label in methods.items():
        numbers = [found[method, test_set, *key] for test_set in test_sets for key in keys]
        rows.append([Cell(label), *map(_rank_cell, numbers), empty_cell(numbers)])
    return PrintedTable(
        caption,
        "tab:ranks",
        [("", 1), *((label, len(keys)) for label in test_sets.values()), ("", 1)],
        ["Method", *([block.label for block in COMPARED] * len(test_sets)), "Empty"],
        rows,
    )


def _rank_cell(row: Numbers) -> Cell:
    return Cell(with_interval(row["rank"], row["low"], row["high"], 1), best=row["rank"] == 1)
