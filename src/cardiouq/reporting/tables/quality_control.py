"""Table of quality control per slice: what review takes and saves."""

import pandas as pd

from cardiouq.evaluation.quality_control import ASSD_WITHIN, ORACLE, RANDOM, SLICE_POSITION
from cardiouq.reporting.printing import PrintedTable
from cardiouq.reporting.tables.failure_detection import UNCERTAINTIES
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
TOGETHER = "all structures"
"""Heading of the columns of all structures in print."""
OTHERS = (
    "predictive_entropy_bits",
    "entropy_without_boundary_bits",
    "entropy_foreground_bits",
    "entropy_patch_bits",
    "forest_dice",
)
"""Uncertainties of slices whose flagged share stands in `summary.csv`."""


INTERVALS = {
    "quality_control_auc_assd_within_mm": f"{ASSD_WITHIN} auc",
    "flagged_percent_assd_within_mm": f"{ASSD_WITHIN} flagged_percent",
}
"""Metric of `summary.csv`, where its intervals are -> metric of a block."""
ENDS = ["low", "high"]


def _block(by: str, column: str, label: str, decimals: int) -> Block:
    structures = (*STRUCTURES, TOGETHER)
    return Block(f"{by} {column}", label, "slice", structures, decimals, None, "interval")


BLOCKS = [
    _block(ASSD_WITHIN, "poor_percent", "Poor (%)", 1),
    _block(ASSD_WITHIN, "auc", "Area: ASSD_within", 3),
    _block(SLICE_POSITION, "auc", "Area: slice position", 3),
    _block(ASSD_WITHIN, "flagged_percent", "Flagged (%): ASSD_within", 1),
    _block(SLICE_POSITION, "flagged_percent", "Flagged (%): slice position", 1),
    *(
        _block(uncertainty, "flagged_percent", f"Flagged (%): {UNCERTAINTIES[uncertainty]}", 1)
        for uncertainty in OTHERS
    ),
    _block(RANDOM, "flagged_percent", "Flagged (%): random", 1),
    _block(ORACLE, "flagged_percent", "Flagged (%): oracle", 1),
    _block(ASSD_WITHIN, "hours_saved_random", "Hours saved against random", 0),
    _block(ASSD_WITHIN, "hours_saved_slice_position", "Hours saved against slice position", 0),
]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of each ranking of slices, with a part of it in print."""
    rows = tables["quality_control"]
    return rows, print_quality_control(rows, tables["summary"], *labels_of(study), caption)


def print_quality_control(
    table: pd.DataFrame, summary: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Lay out what is poor, the share that each ranking flags, the hours that ASSD_within saves.

    Args:
        table: rows of `quality_control.csv`.
        summary: rows of `summary.csv`.
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
    where = ["method", "test_set", "level", "structure", "metric"]
    ends = summary.assign(metric=summary["metric"].map(INTERVALS)).dropna(subset="metric")
    numbers = numbers.merge(ends[[*where, *ENDS]], how="left", on=where)
    numbers = pd.concat([numbers, *(_flagged_by(other, summary) for other in OTHERS)])
    return print_blocks(numbers, BLOCKS, methods, test_sets, caption, "tab:quality_control")


def _flagged_by(uncertainty: str, summary: pd.DataFrame) -> pd.DataFrame:
    """Rows of the share that an uncertainty flags, with those of all structures together."""
    is_share = summary["metric"] == f"flagged_percent_{uncertainty}"
    is_share &= (summary["level"] == "slice") & summary["structure"].isin(STRUCTURES)
    rows = summary[is_share]
    together = rows.groupby(["method", "test_set", "level"], as_index=False)[["value"]].mean()
    both = pd.concat([rows, together.assign(structure=TOGETHER, n_empty=0)])
    return both.assign(metric=f"{uncertainty} flagged_percent")
