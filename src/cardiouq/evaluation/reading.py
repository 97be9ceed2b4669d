"""Readers of an evaluation's tables, of several methods as one."""

from collections.abc import Collection, Iterable
from pathlib import Path

import pandas as pd

from cardiouq.errors import CardiouqError
from cardiouq.files.tables import read_rows


def read_tables(
    paths: Iterable[str | Path], test_sets: Collection[str] | None = None
) -> pd.DataFrame:
    """Read the `scores.csv` or the `calibration.csv` of several methods as one table.

    Args:
        paths: a file per method.
        test_sets: whose rows to read; None: all, also those of distorted scans.

    Raises:
        CardiouqError: one of them has other columns than the first.
    """
    tables = {Path(path): read_rows(path) for path in paths}
    first, expected = next((path, list(table.columns)) for path, table in tables.items())
    for path, table in tables.items():
        if list(table.columns) != expected:
            raise CardiouqError(
                f"{path}: columns {list(table.columns)}; expected {expected} as in {first}; "
                "run the evaluation of this method again"
            )
    table = pd.concat(tables.values(), ignore_index=True)
    if test_sets is None:
        return table
    return table[table["test_set"].isin(list(test_sets))].reset_index(drop=True)
