"""Tables laid out from a summary: what stands where, and what is bold."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.evaluation.clinical import UNITS
from cardiouq.reporting.printing import NOTHING, PrintedTable
from cardiouq.reporting.tables.clinical import print_clinical
from cardiouq.reporting.tables.comparisons import print_comparisons
from cardiouq.reporting.tables.layout import Block, print_blocks
from cardiouq.reporting.tables.ranks import print_ranks
from cardiouq.reporting.tables.table2_ece import print_ece
from cardiouq.structures import ALL

METHODS = {"vanilla": "Vanilla", "swa": "SWA"}
TEST_SETS = {"val": "Phantom (ID)", "B": "Vendor B"}
NUMBERS = {"sd": 0.5, "low": 1.0, "high": 2.0, "n_cases": 4, "n_subjects": 2, "n_empty": 1}


def summary(metric: str, level: str, structures: list[str], swa_less: float) -> pd.DataFrame:
    """Vanilla has 1.5 everywhere, SWA less."""
    values = {"vanilla": 1.5, "swa": 1.5 - swa_less}
    return pd.DataFrame(
        {**{"method": m, "test_set": t, "level": level, "structure": s}, "metric": metric}
        | {"value": values[m]}
        | NUMBERS
        for m, t, s in product(METHODS, TEST_SETS, structures)
    )


def texts(table: PrintedTable) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def bold(table: PrintedTable) -> set[tuple[int, int]]:
    return {(i, j) for i, row in enumerate(table.rows) for j, c in enumerate(row) if c.best}


@pytest.mark.parametrize(
    ("larger_is_better", "best"),
    [(False, {(1, 2), (1, 3)}), (True, {(0, 2), (0, 3)}), (None, set())],
)
def test_a_block_has_a_row_per_method_and_the_best_is_bold(
    larger_is_better: bool | None, best: set[tuple[int, int]]
) -> None:
    block = Block("nll_nats", "NLL", "volume", [ALL], 2, larger_is_better, "interval")
    found = summary("nll_nats", "volume", [ALL], 0.1)
    table = print_blocks(found, [block], METHODS, TEST_SETS, "", "tab:x")
    assert table.columns == ["Metric", "Method", "", "", "Empty"]
    assert texts(table) == [
        ["NLL", "Vanilla", "1.50 [1.00, 2.00]", "1.50 [1.00, 2.00]", "2"],
        ["", "SWA", "1.40 [1.00, 2.00]", "1.40 [1.00, 2.00]", "2"],
    ]
    assert bold(table) == best


def test_equal_as_printed_is_equally_good() -> None:
    found = summary("nll_nats", "volume", [ALL], 0.001)
    block = Block("nll_nats", "NLL", structures=[ALL], decimals=2)
    assert len(bold(print_blocks(found, [block], METHODS, TEST_SETS, "", ""))) == 4


@pytest.mark.parametrize(
    ("published", "columns", "cells"),
    [
        (2.56, ["ours", "paper"] * 2, ["1.50", "2.56", "1.50", "2.56"]),
        (np.nan, ["ours"] * 2, ["1.50", "1.50"]),
    ],
)
def test_ece_stands_beside_the_paper_s_where_there_is_one(
    published: float, columns: list[str], cells: list[str]
) -> None:
    found = summary("ece_percent", "volume", [ALL], 0.1).assign(published=published)
    table = print_ece(found, METHODS, TEST_SETS, "")
    assert table.columns == ["Method", *columns, "Empty"]
    assert texts(table)[0] == ["Vanilla", *cells, "2"]


def test_blocks_of_slices_and_of_volumes_are_told_apart() -> None:
    found = pd.concat(
        [
            summary("assd_mm", level, ["RV", "MYO", "LV"], less)
            for level, less in (("volume", 0.5), ("slice", 1.0))
        ]
    )
    blocks = [Block("assd_mm", "volumes", decimals=1), Block("assd_mm", "slices", "slice")]
    table = print_blocks(found, blocks, METHODS, TEST_SETS, "", "")
    assert table.groups == [("", 2), ("Phantom (ID)", 3), ("Vendor B", 3), ("", 1)]
    assert [row[0] for row in texts(table)] == ["volumes", "", "slices", ""]
    assert texts(table)[1][2] == "1.0" and texts(table)[3][2] == ".500"


def test_a_number_without_an_interval_stands_alone() -> None:
    found = summary("nll_nats", "volume", [ALL], 0).assign(low=np.nan, high=np.nan)
    block = Block("nll_nats", "NLL", structures=[ALL], decimals=2, spread="interval")
    assert texts(print_blocks(found, [block], METHODS, TEST_SETS, "", ""))[0][2] == "1.50"


def test_clinical_quantities_have_bias_error_and_coverage() -> None:
    quantities = list(UNITS)
    found = pd.concat(
        [
            summary(metric, "subject", quantities, less)
            for metric, less in (("bias", 3), ("absolute_error", 1), ("coverage_percent", 1))
        ]
    )
    # no subject of vendor B has both phases
    found = found[found["test_set"] == "val"]
    table = print_clinical(found, METHODS, TEST_SETS, "")
    assert len(table.rows) == len(UNITS) * len(METHODS)
    rows = texts(table)
    assert rows[0] == ["LVEDV (ml)", "Vanilla", "1.5 ± 0.5", "1.5", "2", *[NOTHING] * 3, "1"]
    assert rows[1][1:4] == ["SWA", "-1.5 ± 0.5", "0.5"]
    assert {j for _, j in bold(table)} == {3}  # neither bias nor coverage is ranked


def pairs(**columns: Any) -> pd.DataFrame:
    metrics = [("dice", "foreground"), ("assd_mm", "foreground"), ("nll_nats", ALL)]
    return pd.DataFrame(
        {"test_set": t, "level": "volume", "structure": s, "metric": m} | columns
        for t, (m, s) in product(TEST_SETS, [*metrics, ("ece_percent", ALL)])
    )


def test_comparisons_are_of_each_method_less_the_first_and_less_the_best() -> None:
    """By Dice SWA is best by .250 and Deep Ens. worst; by the errors it is the other way round."""
    methods = METHODS | {"deep": "Deep Ens."}
    common = {"low": -0.5, "high": 1.0, "p_adjusted": 0.0001, "n_empty": 3}
    found = pd.concat(
        [
            pairs(method="vanilla", other="swa", difference=-0.25, **common),
            pairs(method="vanilla", other="deep", difference=0.5, **common),
            pairs(method="swa", other="deep", difference=0.75, **common),
        ]
    )
    found.loc[found["metric"] == "ece_percent", "p_adjusted"] = np.nan
    table = print_comparisons(found, methods, TEST_SETS, "")
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
    assert {row for row, column in bold(table) if column == 4} == {1, 5, 8, 11}
    assert [row[-1] for row in texts(table)] == ["6"] * 12


def test_comparison_of_a_single_method_has_nothing_to_differ_from() -> None:
    none = pairs(method="vanilla", other="swa", n_empty=0).iloc[:0]
    rows = texts(print_comparisons(none, {"vanilla": "Vanilla"}, TEST_SETS, ""))
    assert rows[0] == ["Dice", "Vanilla", *[NOTHING] * 8, "0"]


def test_ranks_have_intervals_and_the_first_is_bold() -> None:
    found = pd.concat(
        [
            pairs(method=method, rank=rank, low=1.0, high=2.0, n_empty=0)
            for method, rank in zip(METHODS, (2, 1), strict=True)
        ]
    )
    table = print_ranks(found, METHODS, TEST_SETS, "")
    assert texts(table)[0][:2] == ["Vanilla", "2.0 [1.0, 2.0]"]
    assert bold(table) == {(1, column) for column in range(1, 9)}
