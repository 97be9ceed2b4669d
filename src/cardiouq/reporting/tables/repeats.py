"""Table of repeats per slice: mean and SD over trainings with other seeds."""

import pandas as pd

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
from cardiouq.reporting.tables.spread import summarise_repeats

BLOCKS = [
    Block(metric, label, "slice", decimals=decimals, larger_is_better=None, spread="sd")
    for metric, label, decimals in (
        ("dice", "Dice", 3),
        ("assd_mm", "ASSD (mm)", 2),
        ("hausdorff_mm", "Hausdorff (mm)", 1),
        ("dice_within", "Dice_within", 3),
        ("assd_within_mm", "ASSD_within (mm)", 2),
    )
]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of every number of slices over repeats, with a few in print."""
    rows = summarise_repeats(tables["repeats"]).query("level == 'slice'")
    return rows, print_repeats(rows, *labels_of(study), caption)


def print_repeats(
    repeats: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Lay out the mean ± SD over repeats of each metric and method, per slice.

    Args:
        repeats: from `summarise_repeats`.
    """
    return print_blocks(repeats, BLOCKS, methods, test_sets, caption, "tab:repeats")
