"""Which method of a column is best, and which cannot be told from it: the rule for bold."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from cardiouq.evaluation.bootstrap import FEWEST_SUBJECTS


class Best(NamedTuple):
    """The best method of a column, and the others that cannot be told from it."""

    method: str
    tied: frozenset[str]

    @property
    def winner(self) -> str | None:
        """The best method if it is told from all others, which is then set in bold."""
        return None if self.tied else self.method


def find_best(
    comparisons: pd.DataFrame, level: str, metric: str, larger_is_better: bool
) -> dict[tuple[str, str], Best]:
    """Find the best method by a metric on each test set, by its paired differences.

    Two methods are told apart by an interval of their difference without 0, of enough subjects.

    Args:
        comparisons: rows of `comparisons.csv`; a metric that is not compared has no best.

    Returns:
        (Test set, structure) -> its best.
    """
    chosen = comparisons[(comparisons["level"] == level) & (comparisons["metric"] == metric)]
    sign = 1 if larger_is_better else -1
    return {
        (str(test_set), str(structure)): _best(pairs, sign)
        for (test_set, structure), pairs in chosen.groupby(["test_set", "structure"], sort=False)
    }


def _best(pairs: pd.DataFrame, sign: int) -> Best:
    """The best of one column, whose pairs are of the first method with each other one, and so on.

    Args:
        sign: -1 where less is better.
    """
    first = str(pairs["method"].iloc[0])
    of_first = pairs[pairs["method"] == first]
    lead = {first: 0.0} | dict(zip(of_first["other"], -sign * of_first["difference"], strict=True))
    best = max(lead, key=lambda method: lead[method])
    return Best(best, frozenset(_tied(pairs, best)))


def _tied(pairs: pd.DataFrame, best: str) -> Iterator[str]:
    few = pairs["n_subjects"] < FEWEST_SUBJECTS
    apart = ~few & ((pairs["low"] > 0) | (pairs["high"] < 0))
    for pair in pairs[~apart].itertuples():
        if best in (pair.method, pair.other):
            yield str(pair.other if pair.method == best else pair.method)
