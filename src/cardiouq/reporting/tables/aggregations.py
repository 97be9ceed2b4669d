"""Table of how well each aggregation of the entropy finds bad segmentations, over all methods."""

import pandas as pd

from cardiouq.reporting.printing import Cell, PrintedTable
from cardiouq.reporting.tables.failure_detection import UNCERTAINTIES, with_distorted
from cardiouq.reporting.tables.layout import MadeTable, Settings, Tables, labels_of, number_text
from cardiouq.structures import STRUCTURES

MEAN_ENTROPY = "predictive_entropy_bits"
"""What the others are compared with."""
MEASURES = {"aurc": ("aurc_{}", "AURC"), "spearman": ("spearman_{}_dice", "Spearman")}
"""Name of a measure -> metric of an uncertainty, and how it is printed."""
KEYS = ["measure", "by", "test_set"]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of means over structures and methods, with the methods that each helps."""
    summary, study = with_distorted(tables, study)
    methods, test_sets = labels_of(study)
    rows = compare_with_mean(summary, list(methods))
    found = rows.set_index(KEYS).to_dict("index")
    printed = []
    for measure, (_, label) in MEASURES.items():
        for position, (by, of_uncertainty) in enumerate(UNCERTAINTIES.items()):
            cells = []
            for test_set in test_sets:
                number = found[measure, by, test_set]
                helped = "" if by == MEAN_ENTROPY else f" ({number['n_helped']})"
                cells.append(Cell(f"{number_text(number['value'], 3)}{helped}"))
            empty = sum(found[measure, by, test_set]["n_empty"] for test_set in test_sets)
            name = label if position == 0 else ""
            printed.append([Cell(name), Cell(of_uncertainty), *cells, Cell(str(empty))])
    columns = ["Measure", "Uncertainty", *test_sets.values(), "Empty"]
    groups = [("", 2), (f"mean of {len(methods)} methods", len(test_sets)), ("", 1)]
    return rows, PrintedTable(caption, "tab:aggregations", groups, columns, printed)


def compare_with_mean(summary: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    """Mean of each measure over structures and methods, and how many methods it is better for.

    Args:
        summary: rows of `summary.csv`.

    Returns:
        Rows of measure, by (the uncertainty), test_set, value, n_helped (methods for which it is
        better than the mean entropy), n_methods and n_empty (of all methods and structures).
    """
    volumes = summary[(summary["level"] == "volume") & summary["method"].isin(methods)]
    volumes = volumes[volumes["structure"].isin(list(STRUCTURES))]
    parts = []
    for measure, (metric, _) in MEASURES.items():
        by = {metric.format(name): name for name in UNCERTAINTIES}
        rows = volumes[volumes["metric"].isin(list(by))]
        rows = rows.assign(measure=measure, by=rows["metric"].map(by))
        of_methods = rows.groupby([*KEYS, "method"], sort=False, as_index=False).agg(
            value=("value", "mean"), n_empty=("n_empty", "sum")
        )
        entropy = of_methods[of_methods["by"] == MEAN_ENTROPY]
        keys = ["test_set", "method"]
        paired = of_methods.merge(entropy[[*keys, "value"]], on=keys, suffixes=("", "_of_mean"))
        gained = paired["value"] - paired["value_of_mean"]
        paired["helped"] = gained < 0 if measure == "aurc" else gained > 0
        parts.append(paired)
    return (
        pd.concat(parts)
        .groupby(KEYS, sort=False, as_index=False)
        .agg(
            value=("value", "mean"),
            n_helped=("helped", "sum"),
            n_methods=("method", "size"),
            n_empty=("n_empty", "sum"),
        )
    )
