"""Differences of each method from the first and from the best."""

import numpy as np
import pandas as pd

from cardiouq.reporting.printing import NOTHING
from cardiouq.reporting.tables.comparisons import print_comparisons
from tests.reporting.tables.summaries import METHODS, TEST_SETS, bold, pairs, texts


def test_comparisons_are_of_each_method_less_the_reference_and_less_the_best() -> None:
    """By Dice SWA is best by .250 and Deep Ens. worst; by the errors it is the other way round."""
    methods = METHODS | {"deep": "Deep Ens."}
    common = {"low": -0.5, "high": 1.0, "p_adjusted": 0.0001, "n_subjects": 6, "n_empty": 3}
    found = pd.concat(
        [
            pairs(method="vanilla", other="swa", difference=-0.25, **common),
            pairs(method="vanilla", other="deep", difference=0.5, **common),
            pairs(method="swa", other="deep", difference=0.75, **common),
        ]
    )
    found.loc[found["metric"] == "ece_percent", "p_adjusted"] = np.nan
    assert bold(print_comparisons(found, methods, TEST_SETS, "vanilla", "")) == set()
    found["high"] = found["low"]  # on one side of 0
    told = print_comparisons(found, methods, TEST_SETS, "vanilla", "")
    assert {row for row, column in bold(told) if column == 4} == {1, 5, 8, 11}
    found["high"] = 1.0
    table = print_comparisons(found, methods, TEST_SETS, "vanilla", "")
    assert table.columns[2:6] == ["less Vanilla", "p", "less best", "p"]
    rows = [row[:6] for row in texts(table)]
    none, turned, p = [NOTHING] * 2, "[-1.000, +0.500]", "< 0.001"
    assert rows[0] == ["Dice", "Vanilla", *none, "-0.250 [-0.500, +1.000]", p]
    assert rows[1] == ["", "SWA", f"+0.250 {turned}", p, *none]
    assert rows[2] == ["", "Deep Ens.", f"-0.500 {turned}", p, f"-0.750 {turned}", p]
    assert len(rows) == 4 * len(methods)
    assert rows[9][:2] == ["ECE (%)", "Vanilla"] and rows[9][4:] == [
        "+0.50 [-0.50, +1.00]",
        NOTHING,
    ]
    assert [row[-1] for row in texts(table)] == ["6"] * 12


def test_comparison_of_a_single_method_has_nothing_to_differ_from() -> None:
    none = pairs(method="vanilla", other="swa", n_empty=0).iloc[:0]
    rows = texts(print_comparisons(none, {"vanilla": "Vanilla"}, TEST_SETS, "vanilla", ""))
    assert rows[0] == ["Dice", "Vanilla", *[NOTHING] * 8, "0"]


def test_a_reference_that_is_not_the_first_method_is_the_one_compared_with() -> None:
    common = {"low": -0.5, "high": -0.1, "p_adjusted": 0.2, "n_subjects": 6, "n_empty": 0}
    found = pairs(method="vanilla", other="swa", difference=-0.25, **common)
    table = print_comparisons(found, METHODS, TEST_SETS, "swa", "")
    assert table.columns[2] == "less SWA"
    assert [row[2] for row in texts(table)[:2]] == ["-0.250 [-0.500, -0.100]", NOTHING]
    # SWA has the higher Dice, Vanilla the lower errors
    assert {row for row, column in bold(table) if column == 4} == {1, 2, 4, 6}


def test_p_of_fewer_subjects_than_could_tell_is_no_number() -> None:
    """Of five subjects that all differ alike it is 2 / 2^5, above 0.05."""
    common = {"low": -0.5, "high": 1.0, "p_adjusted": 1.0, "n_empty": 0}
    printed = [
        texts(print_comparisons(found, METHODS, TEST_SETS, "vanilla", ""))[1][3]
        for found in (
            pairs(method="vanilla", other="swa", difference=0.5, n_subjects=n, **common)
            for n in (5, 6)
        )
    ]
    assert printed == ["n too small", "1.000"]
