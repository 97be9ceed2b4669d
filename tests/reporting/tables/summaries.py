"""A summary of two methods on two test sets, and what a printed table shows of it."""

from itertools import product
from typing import Any

import pandas as pd

from cardiouq.reporting.printing import PrintedTable
from cardiouq.structures import ALL

METHODS = {"vanilla": "Vanilla", "swa": "SWA"}
TEST_SETS = {"val": "Phantom (ID)", "B": "Vendor B"}
NUMBERS = {"sd": 0.5, "low": 1.0, "high": 2.0, "n_cases": 4, "n_subjects": 2, "n_empty": 1}


def summary(metric: str, level: str, structures: list[str], swa_less: float) -> pd.DataFrame:
    """Vanilla has 1.5 everywhere, SWA less."""
    values = {"vanilla": 1.5, "swa": 1.5 - swa_less}
    return pd.DataFrame(
        {"method": m, "test_set": t, "level": level, "structure": s, "metric": metric}
        | {"value": values[m]}
        | NUMBERS
        for m, t, s in product(METHODS, TEST_SETS, structures)
    )


def texts(table: PrintedTable) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def bold(table: PrintedTable) -> set[tuple[int, int]]:
    return {(i, j) for i, row in enumerate(table.rows) for j, c in enumerate(row) if c.best}


def compared(
    metric: str, level: str, structures: list[str], low: float, high: float, n_subjects: int = 6
) -> pd.DataFrame:
    """The pair of Vanilla less SWA, the same on all test sets: its interval, and half way of it."""
    pair = {"method": "vanilla", "other": "swa", "difference": (low + high) / 2}
    return pd.DataFrame(
        {"test_set": t, "level": level, "structure": s, "metric": metric}
        | pair
        | {"low": low, "high": high, "n_subjects": n_subjects, "n_empty": 0}
        for t, s in product(TEST_SETS, structures)
    )


def pairs(**columns: Any) -> pd.DataFrame:
    metrics = [("dice", "foreground"), ("assd_mm", "foreground"), ("nll_nats", ALL)]
    return pd.DataFrame(
        {"test_set": t, "level": "volume", "structure": s, "metric": m, "n_subjects": 6} | columns
        for t, (m, s) in product(TEST_SETS, [*metrics, ("ece_percent", ALL)])
    )
