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
    by_metric,
    empty_cell,
    labels_of,
    with_interval,
)


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of every rank, with those of a few metrics in print."""
    ranks = tables["ranks"]
    return ranks, print_ranks(ranks, tables["comparisons"], *labels_of(study), caption)


def print_ranks(
    ranks: pd.DataFrame,
    comparisons: pd.DataFrame,
    methods: Labels,
    test_sets: Labels,
    caption: str,
) -> PrintedTable:
    """Lay out rank and interval of each method by Dice, ASSD, NLL and ECE.

    Args:
        ranks: rows of `ranks.csv`.
        comparisons: rows of `comparisons.csv`.
    """
    found = by_metric(ranks, COMPARED, comparisons)
    keys = [(test_set, block.metric) for test_set in test_sets for block in COMPARED]
    rows = []
    for method, label in methods.items():
        numbers = [found[method, *key] for key in keys]
        rows.append([Cell(label), *map(_rank_cell, numbers), empty_cell(numbers)])
    return PrintedTable(
        caption,
        "tab:ranks",
        [("", 1), *((label, len(COMPARED)) for label in test_sets.values()), ("", 1)],
        ["Method", *([block.label for block in COMPARED] * len(test_sets)), "Empty"],
        rows,
    )


def _rank_cell(row: Numbers) -> Cell:
    return Cell(with_interval(row["rank"], row["low"], row["high"], 1), best=row["best"])
