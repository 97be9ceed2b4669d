"""Rows of `evaluation/summary.csv` laid out as the tables that people read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.evaluation.clinical import UNITS
from cardiouq.reporting.printing import NOTHING, Cell, PrintedTable
from cardiouq.structures import ALL, FOREGROUND, STRUCTURES

Labels = dict[str, str]


@dataclass(frozen=True)
class Block:
    """One metric of a table: a row per method, a column per test set and structure.

    Attributes:
        metric, level: as in `summary.csv`.
        label: how the metric is printed, with its unit.
        structures: what the columns of each test set are of.
        decimals: how many are printed.
        larger_is_better: which end is bold; None if neither is better.
        spread: `sd` or `interval` beside the number, or nothing.
    """

    metric: str
    label: str
    level: str = "volume"
    structures: Sequence[str] = STRUCTURES
    decimals: int = 3
    larger_is_better: bool | None = False
    spread: str = ""


COMPARED = (
    Block("dice", "Dice", structures=[FOREGROUND], larger_is_better=True),
    Block("assd_mm", "ASSD (mm)", structures=[FOREGROUND], decimals=2),
    Block("nll_nats", "NLL (nats)", structures=[ALL], decimals=4),
    Block("ece_percent", "ECE (%)", structures=[ALL], decimals=2),
)
"""What methods are compared and ranked by in print; the CSV files have more."""


def print_dice(
    summary: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Table 1 of Zhao et al. (2022): per method a row of ours and below it the paper's, where it
    has one.

    Args:
        summary: rows of `summary.csv` with the columns of `published.with_published`.
        methods, test_sets: key -> printed label, in order.
        caption: plain text.
    """
    block = Block("dice", "Dice", larger_is_better=True, spread="sd")
    by_key = _by_key(summary, block)
    keys = [(test_set, structure) for test_set in test_sets for structure in STRUCTURES]
    rows = []
    for method, label in methods.items():
        numbers = [by_key[method, *key] for key in keys]
        ours = [_cell(number, block) for number in numbers]
        rows.append([Cell(label), Cell("ours"), *ours, _empty(numbers)])
        if any(pd.notna(number["published"]) for number in numbers):
            theirs = [
                Cell(_plus_minus(number["published"], number["published_sd"], 3), quoted=True)
                for number in numbers
            ]
            rows.append([Cell(""), Cell("paper", quoted=True), *theirs, Cell("")])
    return PrintedTable(
        caption,
        "tab:dice",
        [("", 2), *((label, len(STRUCTURES)) for label in test_sets.values()), ("", 1)],
        ["Method", "", *(structure for _, structure in keys), "Empty"],
        rows,
    )


def print_ece(
    summary: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Table 2 of Zhao et al. (2022): per test set a column of ours and beside it the paper's, where
    any is published.

    Arguments as of `print_dice`.
    """
    block = Block("ece_percent", "ECE %", structures=[ALL], decimals=2)
    by_key = _by_key(summary, block)
    columns = ["ours", "paper"] if summary["published"].notna().any() else ["ours"]
    rows = []
    for method, label in methods.items():
        numbers = [by_key[method, test_set, ALL] for test_set in test_sets]
        row = [Cell(label)]
        for number in numbers:
            theirs = Cell(_number(number["published"], 2), quoted=True)
            row += [_cell(number, block), theirs][: len(columns)]
        rows.append([*row, _empty(numbers)])
    return PrintedTable(
        caption,
        "tab:ece",
        [("", 1), *((label, len(columns)) for label in test_sets.values()), ("", 1)],
        ["Method", *(columns * len(test_sets)), "Empty"],
        rows,
    )


def print_blocks(
    summary: pd.DataFrame,
    blocks: Sequence[Block],
    methods: Labels,
    test_sets: Labels,
    caption: str,
    label: str,
) -> PrintedTable:
    """Metrics one below the other; all blocks have the same structures.

    Arguments as of `print_dice`; `label` is LaTeX's.
    """
    structures = blocks[0].structures
    rows = []
    for block in blocks:
        by_key = _by_key(summary, block)
        for position, (method, method_label) in enumerate(methods.items()):
            numbers = [by_key[method, t, s] for t in test_sets for s in structures]
            cells = [_cell(number, block) for number in numbers]
            name = block.label if position == 0 else ""
            rows.append([Cell(name), Cell(method_label), *cells, _empty(numbers)])
    headings = ["" if structure == ALL else structure for structure in structures]
    return PrintedTable(
        caption,
        label,
        [("", 2), *((name, len(structures)) for name in test_sets.values()), ("", 1)],
        ["Metric", "Method", *(headings * len(test_sets)), "Empty"],
        rows,
    )


def print_clinical(
    summary: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Per quantity and method: bias ± SD, mean absolute error and coverage of the interval.

    Arguments as of `print_dice`.
    """
    rows = []
    for quantity, unit in UNITS.items():
        blocks = [
            Block("bias", "", "subject", [quantity], 1, None, "sd"),
            Block("absolute_error", "", "subject", [quantity], 1),
            Block("coverage_percent", "", "subject", [quantity], 0, None),
        ]
        by_key = [_by_key(summary, block) for block in blocks]
        for position, (method, label) in enumerate(methods.items()):
            row = [Cell(f"{quantity} ({unit})" if position == 0 else ""), Cell(label)]
            numbers = [found.get((method, t, quantity)) for t in test_sets for found in by_key]
            row += [
                _cell(number, blocks[i % len(blocks)]) if number else Cell(NOTHING)
                for i, number in enumerate(numbers)
            ]
            of_quantity = [number for number in numbers[:: len(blocks)] if number]
            rows.append([*row, _empty(of_quantity)])
    return PrintedTable(
        caption,
        "tab:clinical",
        [("", 2), *((label, 3) for label in test_sets.values()), ("", 1)],
        ["Quantity", "Method", *(["bias", "MAE", "coverage %"] * len(test_sets)), "Empty"],
        rows,
    )


def print_ranks(
    ranks: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Rank and its interval of each method by Dice, ASSD, NLL and ECE.

    Args:
        ranks: rows of `ranks.csv`.
        methods, test_sets: key -> printed label, in order.
        caption: plain text.
    """
    keys = [(block.metric, block.structures[0]) for block in COMPARED]
    found = _records(ranks, ["method", "test_set", "metric", "structure"])
    rows = []
    for method, label in methods.items():
        numbers = [found[method, test_set, *key] for test_set in test_sets for key in keys]
        rows.append([Cell(label), *map(_rank_cell, numbers), _empty(numbers)])
    return PrintedTable(
        caption,
        "tab:ranks",
        [("", 1), *((label, len(keys)) for label in test_sets.values()), ("", 1)],
        ["Method", *([block.label for block in COMPARED] * len(test_sets)), "Empty"],
        rows,
    )


def print_comparisons(
    comparisons: pd.DataFrame, methods: Labels, test_sets: Labels, caption: str
) -> PrintedTable:
    """Every method less the first one and less the best one of each test set: differences, their
    intervals and adjusted p. Which pairs differ among the others is in the rows alone.

    Args:
        comparisons: rows of `comparisons.csv`.
        methods, test_sets: key -> printed label, in order.
        caption: plain text.
    """
    first, *_ = methods
    found = _records(comparisons, ["method", "other", "test_set", "metric", "structure"])
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
            rows.append([*row, _empty(pairs)])
    columns = [f"less {methods[first]}", "p", "less best", "p"]
    return PrintedTable(
        caption,
        "tab:comparisons",
        [("", 2), *((label, len(columns)) for label in test_sets.values()), ("", 1)],
        ["Metric", "Method", *(columns * len(test_sets)), "Empty"],
        rows,
    )


Records = dict[tuple[str, ...], dict[str, Any]]


def _less(found: Records, method: str, other: str, what: tuple[str, ...]) -> dict[str, Any] | None:
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


def _difference_cells(pair: dict[str, Any] | None, block: Block, best: bool) -> list[Cell]:
    if pair is None:
        return [Cell(NOTHING, best=best), Cell(NOTHING)]
    p = pair["p_adjusted"]
    difference = _with_interval(
        pair["difference"], pair["low"], pair["high"], block.decimals, sign="+"
    )
    return [
        Cell(difference, best=best),
        Cell(NOTHING if pd.isna(p) else f"{p:.3f}" if p >= 0.001 else "< 0.001"),
    ]


def _by_key(summary: pd.DataFrame, block: Block) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The block's numbers by method, test set and structure; `best` says whether a number is the
    best of its column, where equal as printed is equally good."""
    chosen = (summary["metric"] == block.metric) & (summary["level"] == block.level)
    rows = summary[chosen & summary["structure"].isin(list(block.structures))]
    values = rows["value"].round(block.decimals)
    best = pd.Series(False, rows.index)
    if block.larger_is_better is not None:
        columns = values.groupby([rows["test_set"], rows["structure"]])
        best = values == columns.transform("max" if block.larger_is_better else "min")
    return {
        (row["method"], row["test_set"], row["structure"]): {str(k): v for k, v in row.items()}
        for row in rows.assign(best=best).to_dict("records")
    }


def _records(table: pd.DataFrame, keys: list[str]) -> Records:
    """The rows over whole volumes by their keys."""
    volumes = table[table["level"] == "volume"]
    return {
        tuple(row[key] for key in keys): {str(k): v for k, v in row.items()}
        for row in volumes.to_dict("records")
    }


def _cell(number: dict[str, Any], block: Block) -> Cell:
    text = {
        "": lambda: _number(number["value"], block.decimals),
        "sd": lambda: _plus_minus(number["value"], number["sd"], block.decimals),
        "interval": lambda: _with_interval(
            number["value"], number["low"], number["high"], block.decimals
        ),
    }[block.spread]()
    return Cell(text, best=bool(number["best"]))


def _rank_cell(row: dict[str, Any]) -> Cell:
    return Cell(_with_interval(row["rank"], row["low"], row["high"], 1), best=row["rank"] == 1)


def _empty(numbers: Sequence[dict[str, Any]]) -> Cell:
    return Cell(str(sum(int(number["n_empty"]) for number in numbers)))


def _number(value: float, decimals: int) -> str:
    if pd.isna(value):
        return NOTHING
    text = f"{value:.{decimals}f}"
    # three decimals of a number below 1 are printed as the papers do: .911
    return text.removeprefix("0") if decimals == 3 and 0 <= value < 1 else text


def _plus_minus(value: float, sd: float, decimals: int) -> str:
    """`.911 ± .052`, as the papers print Dice."""
    parts = [_number(part, decimals) for part in (value, sd) if np.isfinite(part)]
    return " ± ".join(parts) or NOTHING


def _with_interval(value: float, low: float, high: float, decimals: int, sign: str = "") -> str:
    """`2.56 [2.31, 2.90]`; the number alone if it has no interval."""
    shown = f"{value:{sign}.{decimals}f}"
    if pd.isna(low):
        return shown
    return f"{shown} [{low:{sign}.{decimals}f}, {high:{sign}.{decimals}f}]"
