"""Quality control in print: every number of every method, in every form."""

from itertools import product

import pandas as pd
import pytest

from cardiouq.reporting.printing import PrintedTable, to_html, to_latex, to_markdown
from cardiouq.reporting.tables.quality_control import OTHERS, print_quality_control
from cardiouq.structures import STRUCTURES
from tests.reporting.reviewed import METHODS, TEST_SETS, review

Tables = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def tables() -> Tables:
    return review()


def summary() -> pd.DataFrame:
    """Shares of slices that each uncertainty flags, another one for each structure."""
    return pd.DataFrame(
        {"method": method, "test_set": test_set, "level": "slice", "structure": structure}
        | {"metric": f"flagged_percent_{other}", "value": 10.0 * (place + 1), "n_empty": 2}
        | {"low": 5.0, "high": 45.0}
        for method, test_set, other in product(METHODS, TEST_SETS, (*OTHERS, "assd_within_mm"))
        for place, structure in enumerate(STRUCTURES)
    )


def printed(rows: pd.DataFrame) -> PrintedTable:
    return print_quality_control(rows, summary(), METHODS, TEST_SETS, "Quality control.")


def numbers(table: PrintedTable, name: str) -> dict[str, list[str]]:
    """What stands in the columns of the first test set and `all structures`, by method."""
    start = next(k for k, row in enumerate(table.rows) if row[0].text == name)
    block = table.rows[start : start + len(METHODS)]
    return {row[1].text: [cell.text for cell in row[2:6]] for row in block}


def test_table_has_every_method_s_numbers(tables: Tables) -> None:
    rows, _ = tables
    table = printed(rows)
    assert table.columns == ["Metric", "Method", *(*STRUCTURES, "all structures") * 2, "Empty"]
    assert {len(row) for row in table.rows} == {len(table.columns)}
    found = rows.query("test_set == 'val'").set_index(["by", "method", "structure"])
    of_swa = [found.loc[("oracle", "swa", s)] for s in (*STRUCTURES, "all")]
    flagged = numbers(table, "Flagged (%): oracle")
    assert flagged["swa"] == [f"{row['flagged_percent']:.1f}" for row in of_swa]
    poor = numbers(table, "Poor (%)")["swa"]
    assert poor == [f"{100 * row['n_poor'] / row['n_slices']:.1f}" for row in of_swa]
    hours = [float(text) for text in numbers(table, "Hours saved against random")["bbb"]]
    assert hours[3] == pytest.approx(sum(hours[:3]), abs=2)
    assert hours[3] > 0
    # one slice of each volume, in three structures of two test sets
    assert {row[-1].text for row in table.rows} == {"12"}
    # one sample ranks by chance, and saves nothing
    assert numbers(table, "Hours saved against random")["vanilla"] == ["0"] * 4
    same = [numbers(table, f"Flagged (%): {by}")["vanilla"] for by in ("ASSD_within", "random")]
    assert [text.split(" ")[0] for text in same[0]] == same[1]


def test_other_uncertainties_flag_what_the_summary_says(tables: Tables) -> None:
    table = printed(tables[0])
    for name in ("entropy", "entropy without the boundary", "1 - forest's Dice"):
        shown = numbers(table, f"Flagged (%): {name}")
        ends = "[5.0, 45.0]"
        assert shown["swa"] == [f"10.0 {ends}", f"20.0 {ends}", f"30.0 {ends}", "20.0"]
    of_samples = numbers(table, "Flagged (%): ASSD_within")["swa"]
    assert [text.endswith(" [5.0, 45.0]") for text in of_samples] == [True] * 3 + [False]


def test_no_hours_saved_are_printed_without_a_sign(
    tables: Tables,
) -> None:
    rows, _ = tables
    shown = numbers(printed(rows.assign(hours_saved_random=-0.3)), "Hours saved against random")
    assert shown["bbb"] == ["0"] * 4


def test_table_is_written_in_every_form(tables: Tables) -> None:
    table = printed(tables[0])
    assert r"ASSD\_within" in to_latex(table)
    assert "Hours saved against slice position" in to_html(table)
    assert to_markdown(table).count("\n|") >= len(table.rows)
