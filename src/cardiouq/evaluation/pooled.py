"""Rows of several test sets as one, of which none counts twice."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

WHAT = ("method", "case", "slice", "subject", "visit", "phase", "quantity", "structure")
"""Columns that say what a row of any of a method's tables is of."""


def pooled(rows: pd.DataFrame, test_sets: Collection[str]) -> NDArray[np.bool_]:
    """Which rows are of some test sets together, (rows,).

    Test sets may overlap, as all subjects held out and those of one site among them. A case is
    predicted and scored alike in each, so that its first rows stand for all.

    Args:
        rows: with a column test_set and some of `WHAT`.
        test_sets: names of those to pool.
    """
    chosen = rows["test_set"].isin(list(test_sets))
    what = rows[[column for column in WHAT if column in rows]]
    return (chosen & ~what.assign(chosen=chosen).duplicated()).to_numpy()
