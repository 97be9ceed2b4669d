"""Spread of numbers, and of their differences, over trainings with other seeds."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

KEYS = ["method", "test_set", "level", "structure", "metric"]

Trained = Sequence[tuple[str, float]]
"""Members that each training of a method draws from, and the number that it has."""


def summarise_repeats(repeats: pd.DataFrame) -> pd.DataFrame:
    """Mean, SD and range of each number over a method and its repeats.

    Ng et al. (IEEE TBME 2022) train everything but deep ensembles five times.

    Args:
        repeats: rows of the evaluation's `repeats.csv`.

    Returns:
        Rows of `KEYS` with n_repeats, value (the mean), sd (n - 1), least and greatest (all three
        NaN of a single one) and n_empty (of all together).
    """
    summary = repeats.groupby(KEYS, sort=False).agg(
        n_repeats=("value", "size"),
        sd=("value", "std"),
        least=("value", "min"),
        greatest=("value", "max"),
        value=("value", "mean"),
        n_empty=("n_empty", "sum"),
    )
    summary.loc[summary["n_repeats"] == 1, ["least", "greatest"]] = np.nan
    return summary.reset_index()


def range_of(trained: Trained) -> tuple[float, float]:
    """Least and greatest of a number; NaN of a single training."""
    values = [value for _, value in trained]
    return (min(values), max(values)) if len(values) > 1 else (np.nan, np.nan)


def range_of_difference(one: Trained, other: Trained, of_one_recipe: bool) -> tuple[float, float]:
    """Least and greatest of one number less another; NaN unless both are of several trainings.

    Two methods of one recipe draw from the same runs: they are compared run by run. Otherwise every
    training of one meets every one of the other.
    """
    if min(len(one), len(other)) < 2:
        return np.nan, np.nan
    pairs = list(product(one, other))
    same = [(a, b) for a, b in pairs if of_one_recipe and a[0] == b[0]]
    differences = [a - b for (_, a), (_, b) in same or pairs]
    return min(differences), max(differences)
