"""Which method is best, and which others may be: what is told apart by pairs."""

import numpy as np
import pandas as pd
import pytest

from cardiouq.reporting.tables.best import Best, find_best

COLUMN = ("val", "RV")
LEADS = {"a": 0.80, "b": 0.84, "c": 0.85}
"""Dice of three methods, of which only a is told from the others."""


def compared(half_width: float, **columns: object) -> pd.DataFrame:
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    table = pd.DataFrame(pairs, columns=["method", "other"])
    table["difference"] = [LEADS[m] - LEADS[o] for m, o in pairs]
    table["low"], table["high"] = table["difference"] - half_width, table["difference"] + half_width
    about = {"test_set": "val", "level": "volume", "structure": "RV", "metric": "dice"}
    return table.assign(**about | {"n_subjects": 20} | columns)


def test_best_is_by_the_metric_s_own_direction() -> None:
    assert find_best(compared(0.02), "volume", "dice", True) == {COLUMN: Best("c", frozenset("b"))}
    assert find_best(compared(0.02), "volume", "dice", False) == {COLUMN: Best("a", frozenset())}


def test_a_method_that_is_told_from_all_others_is_the_winner() -> None:
    narrow = find_best(compared(0.005), "volume", "dice", True)[COLUMN]
    assert narrow == Best("c", frozenset()) and narrow.winner == "c"
    assert find_best(compared(0.02), "volume", "dice", True)[COLUMN].winner is None


@pytest.mark.parametrize("columns", [{"n_subjects": 5}, {"low": np.nan, "high": np.nan}])
def test_few_subjects_tell_no_methods_apart(columns: dict[str, float]) -> None:
    found = find_best(compared(0.005, **columns), "volume", "dice", True)
    assert found == {COLUMN: Best("c", frozenset("ab"))}


def test_metric_that_is_not_compared_has_no_best() -> None:
    assert find_best(compared(0.005), "volume", "aula", True) == {}
    assert find_best(compared(0.005), "slice", "dice", True) == {}
