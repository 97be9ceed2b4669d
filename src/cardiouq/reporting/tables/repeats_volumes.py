"""Table of repeats of whole volumes: mean and range over trainings with other seeds."""

from dataclasses import replace

import pandas as pd

from cardiouq.reporting.printing import Cell, PrintedTable
from cardiouq.reporting.tables.layout import (
    COMPARED,
    Labels,
    MadeTable,
    Settings,
    Tables,
    by_metric,
    cell,
    empty_cell,
    labels_of,
)
from cardiouq.reporting.tables.spread import summarise_repeats

BLOCKS = [replace(block, spread="range") for block in COMPARED]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of every number of whole volumes over repeats, with a few in print."""
    rows = summarise_repeats(tables["repeats"]).query("level == 'volume'")
    return rows, print_repeats(rows, *labels_of(study), caption)


def print_repeats(
    repeats: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Lay out mean, least and greatest of each method's trainings by Dice, ASSD, NLL and ECE.

    Args:
        repeats: from `summarise_repeats`.
    """
    found = by_metric(repeats, BLOCKS)
    columns = [(test_set, block) for test_set in test_sets for block in BLOCKS]
    rows = []
    for method, label in methods.items():
        numbers = [found[method, test_set, block.metric] for test_set, block in columns]
        cells = [cell(number, block) for number, (_, block) in zip(numbers, columns, strict=True)]
        trainings = Cell(str(numbers[0]["n_repeats"]))
        rows.append([Cell(label), trainings, *cells, empty_cell(numbers)])
    return PrintedTable(
        caption,
        "tab:repeats-volumes",
        [("", 2), *((label, len(BLOCKS)) for label in test_sets.values()), ("", 1)],
        ["Method", "Trainings", *(block.label for _, block in columns), "Empty"],
        rows,
    )
