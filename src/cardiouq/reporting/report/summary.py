"""The summary of a study: what each method achieves on each test set, and at what cost."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from cardiouq.evaluation.bootstrap import FEWEST_SUBJECTS
from cardiouq.reporting.tables.best import Best, find_best
from cardiouq.reporting.tables.layout import Block, Labels, Numbers, by_key, with_interval
from cardiouq.structures import ALL, MEAN

MEASURES = (
    Block("dice", "Dice", structures=[MEAN], larger_is_better=True),
    Block("ece_percent", "ECE (%)", structures=[ALL], decimals=2),
    Block("nll_nats", "NLL (nats)", structures=[ALL], decimals=4),
    Block("aurc_estimated_dice", "AURC", structures=[MEAN]),
)
"""What methods are chosen by: accuracy, calibration, a proper score, detection of failures."""
GAIN = Block("aurc_gain_estimated_dice", "AURC gained", structures=[MEAN], larger_is_better=True)
"""What the detection of failures gains over a random order."""
WINNER, FIRST, TIED = "winner", "first", "tied"
"""Marks in a column: the best that is told from all others, or else the best and the others that
are not told from it."""


class Entry(NamedTuple):
    """A number, its interval, and its mark in its column, if any."""

    value: str
    interval: str
    mark: str


class Row(NamedTuple):
    """A method's numbers by `MEASURES`, passes of a network a slice, iterations of its training."""

    method: str
    entries: tuple[Entry, ...]
    passes: int
    iterations: int | None
    """None of what was trained elsewhere."""
    beats_chance: bool
    """Whether the interval of `GAIN` is above 0."""


class Summary(NamedTuple):
    """One test set, by its printed label, and its domain: ID or OOD.

    Where its subjects are too few to tell methods apart, all are tied.
    """

    label: str
    domain: str
    n_volumes: int
    n_subjects: int
    rows: list[Row]

    @property
    def few(self) -> bool:
        """Whether its subjects are too few to tell methods apart."""
        return self.n_subjects < FEWEST_SUBJECTS


def summarise_test_sets(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    cost: pd.DataFrame,
    methods: Labels,
    test_sets: Labels,
    domains: Mapping[str, str],
) -> list[Summary]:
    """Summarise each test set.

    Args:
        summary, comparisons, cost: rows of the tables of these names.
        methods, test_sets: key -> printed label, in order.
        domains: test set -> ID or OOD.
    """
    costs: dict[str, Numbers] = {
        row["method"]: {str(name): value for name, value in row.items()}
        for row in cost.drop_duplicates("method").to_dict("records")
    }
    numbers = [by_key(summary, block) for block in MEASURES]
    gains = by_key(summary, GAIN)
    best = [
        find_best(comparisons, block.level, block.metric, bool(block.larger_is_better))
        for block in MEASURES
    ]
    found = []
    for test_set, label in test_sets.items():
        columns = [(test_set, block.structures[0]) for block in MEASURES]
        best_here = [of.get(column) for of, column in zip(best, columns, strict=True)]
        rows = [
            Row(
                printed,
                tuple(
                    _entry(of[method, *column], block, _mark(method, leader))
                    for of, column, block, leader in zip(
                        numbers, columns, MEASURES, best_here, strict=True
                    )
                ),
                int(costs[method]["passes"]),
                _count(costs[method]["training_iterations"]),
                gains[method, test_set, MEAN]["low"] > 0,
            )
            for method, printed in methods.items()
        ]
        counted = numbers[0][next(iter(methods)), *columns[0]]
        counts = int(counted["n_cases"]), int(counted["n_subjects"])
        found.append(Summary(label, domains[test_set], *counts, rows))
    return found


def _count(value: float) -> int | None:
    """A number of iterations; None if it is not known."""
    return None if np.isnan(value) else int(value)


def _mark(method: str, best: Best | None) -> str:
    """What a method is in a column: nothing where there are no others, or one is told from it."""
    if best is None:
        return ""
    if method == best.method:
        return FIRST if best.tied else WINNER
    return TIED if method in best.tied else ""


def _entry(number: Numbers, block: Block, mark: str) -> Entry:
    decimals = block.decimals
    value, *rest = with_interval(number["value"], number["low"], number["high"], decimals).split(
        " ", 1
    )
    return Entry(value, "".join(rest), mark)
