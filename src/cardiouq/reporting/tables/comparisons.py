"""Table of the differences between methods."""

import pandas as pd

from cardiouq.reporting.printing import NOTHING, Cell, PrintedTable
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
    with_interval,
)

Records = dict[tuple[str, ...], Numbers]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of every pair of methods that was compared, with a few of them in print."""
    rows = tables["comparisons"]
    return rows, print_comparisons(rows, *labels_of(study), caption)


def print_comparisons(
    comparisons: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Lay out every method less the first one and less the best one of each test set.

    Which pairs differ among the others is in the rows alone.

    Args:
        comparisons: rows of `comparisons.csv`.
    """
    first, *_ = methods
    found = records(comparisons, ["method", "other", "test_set", "metric", "structure"])
    rows = []
    for block in COMPARED:
        what = (block.metric, block.structures[0])
        best = {t: _best(found, methods, (t, *what), block) for t in test_sets}
        for position, method in enumerate(methods):
            row = [Cell(block.label if position == 0 else ""), Cell(methods[method])]
            pairs = []
            for test_set in test_sets:
                others = (first, best[test_set])
                less = [_less(found, method, other, (test_set, *what)) for other in others]
                for pair in less:
                    row += _difference_cells(pair, block, best=method == best[test_set])
                pairs += [pair for pair in less if pair][:1]
            rows.append([*row, empty_cell(pairs)])
    columns = [f"less {methods[first]}", "p", "less best", "p"]
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


def _best(found: Records, methods: Labels, what: tuple[str, ...], block: Block) -> str:
    """The method with the best number, by how much each has more or less than the first one."""
    first, *others = methods
    lead = {first: 0.0}
    lead |= {m: float(found[first, m, *what]["difference"]) for m in others}
    # the table holds first less other
    return min(lead, key=lambda m: lead[m] if block.larger_is_better else -lead[m])


def _difference_cells(pair: Numbers | None, block: Block, best: bool) -> list[Cell]:
    if pair is None:
        return [Cell(NOTHING, best=best), Cell(NOTHING)]
    p = pair["p_adjusted"]
    difference = with_interval(
        pair["difference"], pair["low"], pair["high"], block.decimals, sign="+"
    )
    return [
        Cell(difference, best=best),
        Cell(NOTHING if pd.isna(p) else f"{p:.3f}" if p >= 0.001 else "< 0.001"),
    ]
