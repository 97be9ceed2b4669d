"""Blocks of metrics laid out from a summary: what stands where, and what is bold."""

import numpy as np
import pandas as pd
import pytest

from cardiouq.errors import CardiouqError
from cardiouq.reporting.tables.layout import Block, number_text, print_blocks
from cardiouq.structures import ALL
from tests.reporting.tables.summaries import METHODS, TEST_SETS, bold, compared, summary, texts


@pytest.mark.parametrize(
    ("larger_is_better", "best"),
    [(False, {(1, 2), (1, 3)}), (True, {(0, 2), (0, 3)}), (None, set())],
)
def test_a_block_has_a_row_per_method_and_the_best_is_bold(
    larger_is_better: bool | None, best: set[tuple[int, int]]
) -> None:
    block = Block("nll_nats", "NLL", "volume", [ALL], 2, larger_is_better, "interval")
    found = summary("nll_nats", "volume", [ALL], 0.1)
    told = compared("nll_nats", "volume", [ALL], 0.05, 0.15)
    table = print_blocks(found, [block], METHODS, TEST_SETS, "", "tab:x", told)
    assert table.columns == ["Metric", "Method", "", "", "Empty"]
    assert texts(table) == [
        ["NLL", "Vanilla", "1.50 [1.00, 2.00]", "1.50 [1.00, 2.00]", "2"],
        ["", "SWA", "1.40 [1.00, 2.00]", "1.40 [1.00, 2.00]", "2"],
    ]
    assert bold(table) == best


@pytest.mark.parametrize(
    "comparisons",
    [
        None,
        compared("nll_nats", "volume", [ALL], -0.05, 0.25),
        compared("nll_nats", "volume", [ALL], 0.05, 0.15, n_subjects=5),
        compared("nll_nats", "slice", [ALL], 0.05, 0.15),
    ],
    ids=["nothing", "an interval with 0", "few subjects", "another level"],
)
def test_nothing_is_bold_that_is_not_told_from_the_others(
    comparisons: pd.DataFrame | None,
) -> None:
    found = summary("nll_nats", "volume", [ALL], 0.1)
    block = Block("nll_nats", "NLL", structures=[ALL], decimals=2)
    table = print_blocks(found, [block], METHODS, TEST_SETS, "", "", comparisons)
    assert bold(table) == set()


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (
            Block("dise", ""),
            "metric 'dise', level 'volume': no metric 'dise'; there is ['assd_mm', 'nll",
        ),
        (Block("assd_mm", "", "slice"), "level 'slice': no level 'slice'; there is ['volume']"),
        (Block("nll_nats", ""), "level 'volume': no structure 'RV'; there is ['all']"),
        (
            Block("nll_nats", "", structures=[ALL]),
            "structures ['all']; expected ['RV', 'MYO', 'LV'], as all blocks of a table have",
        ),
    ],
)
def test_block_of_what_the_summary_has_not_is_one_error(block: Block, problem: str) -> None:
    found = pd.concat(
        [
            summary("assd_mm", "volume", ["RV", "MYO", "LV"], 0.1),
            summary("nll_nats", "volume", [ALL], 0.1),
        ]
    )
    blocks = [Block("assd_mm", ""), block]
    with pytest.raises(CardiouqError, match=f"^tab:x, metric {block.metric!r}") as caught:
        print_blocks(found, blocks, METHODS, TEST_SETS, "", "tab:x")
    assert problem in str(caught.value)


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


def test_three_decimals_of_what_is_below_one_are_printed_as_the_papers_do() -> None:
    assert [number_text(value, 3) for value in (0.28, -0.03, 0.9996, -1, 10)] == [
        ".280",
        "-.030",
        "1.000",
        "-1.000",
        "10.000",
    ]
    assert number_text(-0.03, 2) == "-0.03"
