"""Table of the differences between methods."""

import pandas as pd

from cardiouq.evaluation.bootstrap import FEWEST_SUBJECTS
from cardiouq.reporting.printing import NOTHING, Cell, PrintedTable
from cardiouq.reporting.tables.best import Best, find_best
from cardiouq.reporting.tables.layout import (
    COMPARED,
    Block,
    Labels,
    MadeTable,
    Numbers,
    Settings,
    Tables,
    empty_cell,
    labels_of,
    records,
    reference_of,
    with_interval,
)

Records = dict[tuple[str, ...], Numbers]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of every pair of methods that was compared, with a few of them in print."""
    rows = tables["comparisons"]
    return rows, print_comparisons(rows, *labels_of(study), reference_of(study), caption)


def print_comparisons(
    comparisons: pd.DataFrame, methods: Labels, test_sets: Labels, reference: str, caption: str
) -> PrintedTable:
    """Lay out every method less the reference and less the best one of each test set.

    Which pairs differ among the others is in the rows alone.

    Args:
        comparisons: rows of `comparisons.csv`.
        reference: the method that the others are compared with.
    """
    found = records(comparisons, ["method", "other", "test_set", "metric", "structure"])
    rows = []
    for block in COMPARED:
        what = (block.metric, block.structures[0])
        found_best = find_best(comparisons, "volume", block.metric, bool(block.larger_is_better))
        # a single method is compared with no other
        best = {t: found_best.get((t, what[1]), Best(reference, frozenset())) for t in test_sets}
        for position, method in enumerate(methods):
            row = [Cell(block.label if position == 0 else ""), Cell(methods[method])]
            pairs = []
            for test_set in test_sets:
                others = (reference, best[test_set].method)
                less = [_less(found, method, other, (test_set, *what)) for other in others]
                for pair in less:
                    row += _difference_cells(pair, block, best=method == best[test_set].winner)
                pairs += [pair for pair in less if pair][:1]
            rows.append([*row, empty_cell(pairs)])
    columns = [f"less {methods[reference]}", "p", "less best", "p"]
    return PrintedTable(
        caption,
        "tab:comparisons",
        [("", 2), *((label, len(columns)) for label in test_sets.values()), ("", 1)],
        ["Metric", "Method", *(columns * len(test_sets)), "Empty"],
        rows,
    )


def _less(found: Records, method: str, other: str, what: tuple[str, ...]) -> Numbers | None:
    """The row of a pair with the sign of method less other; None for a method and itself."""
    if (method, other, *what) in found:
        return found[method, other, *what]
    if (other, method, *what) not in found:
        return None
    pair = found[other, method, *what]
    turned = {"difference": -pair["difference"], "low": -pair["high"], "high": -pair["low"]}
    return pair | turned


def _difference_cells(pair: Numbers | None, block: Block, best: bool) -> list[Cell]:
    if pair is None:
        return [Cell(NOTHING, best=best), Cell(NOTHING)]
    p = pair["p_adjusted"]
    difference = with_interval(
        pair["difference"], pair["low"], pair["high"], block.decimals, sign="+"
    )
    text = f"{p:.3f}" if p >= 0.001 else "< 0.001"
    if pair["n_subjects"] < FEWEST_SUBJECTS:
        text = "n too small"
    return [Cell(difference, best=best), Cell(NOTHING if pd.isna(p) else text)]
