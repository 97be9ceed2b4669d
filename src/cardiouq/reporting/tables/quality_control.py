"""Table of quality control per slice: what review takes and saves."""

import pandas as pd

from cardiouq.evaluation.quality_control import ASSD_WITHIN, ORACLE, RANDOM, SLICE_POSITION
from cardiouq.reporting.printing import PrintedTable
from cardiouq.reporting.tables.layout import (
    Block,
    Labels,
    MadeTable,
    Settings,
    Tables,
    labels_of,
    print_blocks,
)
from cardiouq.structures import ALL, STRUCTURES

SAVED = ["hours_saved_random", "hours_saved_slice_position"]
TOGETHER = "all three"
"""Heading of the columns of all structures in print."""


def _block(by: str, column: str, label: str, decimals: int, better: bool | None) -> Block:
    return Block(f"{by} {column}", label, "slice", (*STRUCTURES, TOGETHER), decimals, better)


BLOCKS = [
    _block(ASSD_WITHIN, "poor_percent", "Poor (%)", 1, False),
    _block(ASSD_WITHIN, "auc", "Area: ASSD_within", 3, False),
    _block(SLICE_POSITION, "auc", "Area: slice position", 3, None),
    _block(ASSD_WITHIN, "flagged_percent", "Flagged (%): ASSD_within", 1, False),
    _block(SLICE_POSITION, "flagged_percent", "Flagged (%): slice position", 1, None),
    _block(RANDOM, "flagged_percent", "Flagged (%): random", 1, None),
    _block(ORACLE, "flagged_percent", "Flagged (%): oracle", 1, None),
    _block(ASSD_WITHIN, "hours_saved_random", "Hours saved against random", 0, True),
    _block(
        ASSD_WITHIN, "hours_saved_slice_position", "Hours saved against slice position", 0, True
    ),
]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of each ranking of slices, with a part of it in print."""
    rows = tables["quality_control"]
    return rows, print_quality_control(rows, *labels_of(study), caption)


def print_quality_control(
    table: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Lay out what is poor, the share that each ranking flags, the hours that ASSD_within saves.

    Args:
        table: rows of `quality_control.csv`.
    """
    table = table.assign(
        level="slice",
        structure=table["structure"].replace(ALL, TOGETHER),
        poor_percent=100 * table["n_poor"] / table["n_slices"],
    )
    table[SAVED] = table[SAVED].round() + 0.0  # -0 becomes 0
    # the column of empty masks is a sum over the structures' own
    table["n_empty"] = table["n_empty"].where(table["structure"] != TOGETHER, 0)
    keys = ["method", "test_set", "level", "structure", "by", "n_empty"]
    numbers = table.melt(keys, ["poor_percent", "auc", "flagged_percent", *SAVED], "column")
    numbers["metric"] = numbers["by"] + " " + numbers["column"]
    return print_blocks(numbers, BLOCKS, methods, test_sets, caption, "tab:quality_control")
