"""Layout of tables of the evaluation's numbers: blocks of metrics, cells, labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cardiouq.errors import CardiouqError
from cardiouq.reporting.printing import NOTHING, Cell, PrintedTable
from cardiouq.reporting.tables.best import Best, find_best
from cardiouq.structures import ALL, FOREGROUND, STRUCTURES

Labels = dict[str, str]
"""Key of a method or a test set -> printed label, in order."""
Numbers = dict[str, Any]
"""Row of a table of numbers, by column."""
Tables = Mapping[str, pd.DataFrame]
"""Name of a table of the evaluation -> its rows."""
Settings = Mapping[str, Any]
MadeTable = tuple[pd.DataFrame, PrintedTable]
"""A table's rows for machines, and its layout for people."""


@dataclass(frozen=True)
class Block:
    """One metric of a table: a row per method, a column per test set and structure.

    Attributes:
        metric, level: as in `summary.csv`.
        label: how the metric is printed, with its unit.
        structures: what the columns of each test set are of.
        decimals: how many are printed.
        larger_is_better: which end is better; None if neither is.
        spread: `sd`, `interval` or, over repeats, `range` beside the number, or nothing.
        may_lack: whether structures may be without it, and have a dash.
    """

    metric: str
    label: str
    level: str = "volume"
    structures: Sequence[str] = STRUCTURES
    decimals: int = 3
    larger_is_better: bool | None = False
    spread: str = ""
    may_lack: bool = False


COMPARED = (
    Block("dice", "Dice", structures=[FOREGROUND], larger_is_better=True),
    Block("assd_mm", "ASSD (mm)", structures=[FOREGROUND], decimals=2),
    Block("nll_nats", "NLL (nats)", structures=[ALL], decimals=4),
    Block("ece_percent", "ECE (%)", structures=[ALL], decimals=2),
)
"""Blocks that methods are compared and ranked by in print; the CSV files have more."""


def labels_of(study: Settings) -> tuple[Labels, Labels]:
    """Key -> printed label of a study's methods and of its test sets, in order."""
    methods, test_sets = (
        {key: block["label"] for key, block in study[part].items()}
        for part in ("methods", "test_sets")
    )
    return methods, test_sets


def reference_of(study: Settings) -> str:
    """The method that others are compared with in print: the study's choice, or its first."""
    return str(study["reporting"].get("reference", next(iter(study["methods"]))))


def make_blocks(
    tables: Tables, blocks: Sequence[Block], study: Settings, caption: str, label: str
) -> MadeTable:
    """Make a table of metrics one below the other, from the rows of the summary that it shows.

    Arguments as of `print_blocks`, `summary` and `comparisons` by name, and the settings of the
    study.
    """
    summary = tables["summary"]
    keys = {(block.level, block.metric) for block in blocks}
    shown = [key in keys for key in zip(summary["level"], summary["metric"], strict=True)]
    printed = print_blocks(
        summary, blocks, *labels_of(study), caption, label, tables["comparisons"]
    )
    return summary[shown].drop(columns="instead", errors="ignore"), printed


def print_blocks(
    summary: pd.DataFrame,
    blocks: Sequence[Block],
    methods: Labels,
    test_sets: Labels,
    caption: str,
    label: str,
    comparisons: pd.DataFrame | None = None,
) -> PrintedTable:
    """Lay out metrics one below the other; all blocks have the same structures.

    Args:
        summary: rows of `summary.csv`.
        label: LaTeX's.
        comparisons: rows of `comparisons.csv`; None if nothing is compared, and bold.

    Raises:
        CardiouqError: naming what a block asks for that the summary has not.
    """
    structures = blocks[0].structures
    rows = []
    for block in blocks:
        _check_block(summary, block, structures, label)
        found = by_key(summary, block, comparisons)
        present = {structure for *_, structure in found} if block.may_lack else structures
        for position, (method, method_label) in enumerate(methods.items()):
            name = block.label if position == 0 else ""
            numbers = [found[method, t, s] for t in test_sets for s in structures if s in present]
            cells = [
                cell(found[method, t, s], block) if s in present else Cell(NOTHING)
                for t in test_sets
                for s in structures
            ]
            rows.append([Cell(name), Cell(method_label), *cells, empty_cell(numbers)])
    headings = ["" if structure == ALL else structure for structure in structures]
    return PrintedTable(
        caption,
        label,
        [("", 2), *((name, len(structures)) for name in test_sets.values()), ("", 1)],
        ["Metric", "Method", *(headings * len(test_sets)), "Empty"],
        rows,
    )


def _check_block(
    summary: pd.DataFrame, block: Block, structures: Sequence[str], label: str
) -> None:
    """Raise a CardiouqError unless a summary has a block's metric, level and structures."""
    asked = f"{label}, metric {block.metric!r}, level {block.level!r}"
    if list(block.structures) != list(structures):
        raise CardiouqError(
            f"{asked}: structures {list(block.structures)}; expected {list(structures)}, as all "
            "blocks of a table have the same"
        )
    if block.may_lack:
        return
    rows = summary
    for column, wanted in (
        ("metric", [block.metric]),
        ("level", [block.level]),
        ("structure", structures),
    ):
        if missing := [name for name in wanted if name not in set(rows[column])]:
            found = sorted(set(rows[column]))
            raise CardiouqError(f"{asked}: no {column} {missing[0]!r}; there is {found}")
        rows = rows[rows[column].isin(wanted)]


def by_key(
    summary: pd.DataFrame, block: Block, comparisons: pd.DataFrame | None = None
) -> dict[tuple[str, str, str], Numbers]:
    """Numbers of a block by method, test set and structure, each with whether it is the `best`.

    That is told from all others of its column, by the rows of `comparisons.csv`. Where a column
    `instead` has a text, it is printed in the number's place.
    """
    chosen = (summary["metric"] == block.metric) & (summary["level"] == block.level)
    rows = summary[chosen & summary["structure"].isin(list(block.structures))]
    best: dict[tuple[str, str], Best] = {}
    if comparisons is not None and block.larger_is_better is not None:
        best = find_best(comparisons, block.level, block.metric, block.larger_is_better)
    found = {}
    for row in rows.to_dict("records"):
        column = row["test_set"], row["structure"]
        is_best = column in best and best[column].winner == row["method"]
        found[row["method"], *column] = {str(k): v for k, v in row.items()} | {"best": is_best}
    return found


def by_metric(
    table: pd.DataFrame, blocks: Sequence[Block], comparisons: pd.DataFrame | None = None
) -> dict[tuple[str, str, str], Numbers]:
    """Numbers of blocks of one structure each, by method, test set and metric, as of `by_key`."""
    return {
        (row["method"], row["test_set"], block.metric): row
        for block in blocks
        for row in by_key(table, block, comparisons).values()
    }


def beside(summary: pd.DataFrame, metric: str) -> NDArray[np.float64]:
    """Value of another metric of each row's method, test set, level and structure, (rows,).

    It is NaN where there is none.
    """
    keys = ["method", "test_set", "level", "structure"]
    values = summary[summary["metric"] == metric].set_index(keys)["value"]
    return values.reindex(pd.MultiIndex.from_frame(summary[keys])).to_numpy()


def records(table: pd.DataFrame, keys: list[str]) -> dict[tuple[str, ...], Numbers]:
    """Rows over volumes, by their keys."""
    volumes = table[table["level"] == "volume"]
    return {
        tuple(row[key] for key in keys): {str(k): v for k, v in row.items()}
        for row in volumes.to_dict("records")
    }


def cell(number: Numbers, block: Block) -> Cell:
    """Print a number as its block says, or what is to stand instead."""
    if number.get("instead"):
        return Cell(number["instead"])
    text = {
        "": lambda: number_text(number["value"], block.decimals),
        "sd": lambda: plus_minus(number["value"], number["sd"], block.decimals),
        "interval": lambda: with_interval(
            number["value"], number["low"], number["high"], block.decimals
        ),
        "range": lambda: with_interval(
            number["value"], number["least"], number["greatest"], block.decimals
        ),
    }[block.spread]()
    return Cell(text, best=bool(number["best"]))


def empty_cell(numbers: Sequence[Numbers]) -> Cell:
    """Print in how many cases of a row a structure is missing in reference or prediction."""
    return Cell(str(sum(int(number["n_empty"]) for number in numbers)))


def number_text(value: float, decimals: int) -> str:
    """Print a number with so many decimals, or the mark of none."""
    if pd.isna(value):
        return NOTHING
    text = f"{value:.{decimals}f}"
    # three decimals of a number below 1 are printed as the papers do: .911
    return text.replace("0.", ".", 1) if decimals == 3 and text.startswith(("0.", "-0.")) else text


def plus_minus(value: float, sd: float, decimals: int) -> str:
    """Print a number and its SD, as `.911 ± .052`, the papers' form of Dice."""
    parts = [number_text(part, decimals) for part in (value, sd) if np.isfinite(part)]
    return " ± ".join(parts) or NOTHING


def with_interval(value: float, low: float, high: float, decimals: int, sign: str = "") -> str:
    """Print a number and its interval, as `2.56 [2.31, 2.90]`; alone if it has none."""
    shown = f"{value:{sign}.{decimals}f}"
    if pd.isna(low):
        return shown
    return f"{shown} [{low:{sign}.{decimals}f}, {high:{sign}.{decimals}f}]"
