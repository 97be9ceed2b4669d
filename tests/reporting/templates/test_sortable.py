"""Tables that sort and filter, in a browser."""

import json
from html import unescape
from pathlib import Path

from cardiouq.reporting.printing import NOTHING, Cell, PrintedTable, to_html
from tests.browser import needs_browser, run_in_page

READ = """
const click = (column) => document.querySelectorAll("thead tr:last-child th")[column].click();
const type = (text) => {
  const field = document.querySelector("input[type=search]");
  field.value = text;
  field.dispatchEvent(new Event("input"));
};
const shown = (column) => [...document.querySelectorAll("tbody tr")]
  .filter((row) => !row.hidden).map((row) => row.cells[column].textContent);
const found = [];
"""


def told(table: PrintedTable, script: str, folder: Path) -> list[list[str]]:
    """What a script pushes to `found`."""
    text = run_in_page(to_html(table), f"{READ}{script};tell(JSON.stringify(found));", folder)
    return list(json.loads(unescape(text)))


def table_of(
    columns: list[str], rows: list[list[str]], quoted: tuple[int, ...] = ()
) -> PrintedTable:
    cells = [[Cell(text, quoted=k in quoted) for text in row] for k, row in enumerate(rows)]
    return PrintedTable("", "tab:x", [("", len(columns))], columns, cells)


@needs_browser
def test_columns_sort_by_their_numbers_up_then_down_and_missing_ones_are_last(
    tmp_path: Path,
) -> None:
    numbers = [
        "0.87 [0.85, 0.89]",
        NOTHING,
        "1.2e-3",
        "10",
        ".911 ± .052",
        "< 0.001",
        "-2.5",
        "1,440",
    ]
    rows = [[f"m{k}", number] for k, number in enumerate(numbers)]
    up = ["-2.5", "< 0.001", "1.2e-3", "0.87 [0.85, 0.89]", ".911 ± .052", "10", "1,440", NOTHING]
    script = "click(1); found.push(shown(1)); click(1); found.push(shown(1))"
    assert told(table_of(["Method", "x"], rows), script, tmp_path) == [
        up,
        [*up[-2::-1], NOTHING],
    ]


@needs_browser
def test_a_dash_with_a_count_is_a_missing_number(tmp_path: Path) -> None:
    all_failed = f"{NOTHING} (8 of 8)"
    rows = [[f"m{k}", text] for k, text in enumerate(["9.5", all_failed, "10.2", "-1"])]
    script = "click(1); found.push(shown(1)); click(1); found.push(shown(1))"
    assert told(table_of(["Method", "x"], rows), script, tmp_path) == [
        ["-1", "9.5", "10.2", all_failed],
        ["10.2", "9.5", "-1", all_failed],
    ]


@needs_browser
def test_texts_and_times_sort_and_the_heading_says_which_way(tmp_path: Path) -> None:
    rows = [["MCD-0.5", "0:10:00"], ["BBB", "1:00:05"], ["2 nets", "0:09:59"]]
    script = """click(0); found.push(shown(0)); click(1); found.push(shown(0));
        found.push([...document.querySelectorAll("th[aria-sort]")].map((th) => th.ariaSort))"""
    assert told(table_of(["Method", "time"], rows), script, tmp_path) == [
        ["2 nets", "BBB", "MCD-0.5"],
        ["2 nets", "MCD-0.5", "BBB"],
        ["none", "ascending"],
    ]


@needs_browser
def test_paper_s_rows_stay_with_their_method_s(tmp_path: Path) -> None:
    rows = [["a", "ours", "3"], ["", "paper", "9"], ["b", "ours", "1"], ["c", "ours", "2"]]
    rows.append(["", "paper", "0"])
    script = "click(2); found.push(shown(2))"
    table = table_of(["Method", "", "x"], rows, quoted=(1, 4))
    assert told(table, script, tmp_path) == [["1", "2", "0", "3", "9"]]


@needs_browser
def test_rows_stay_in_their_block_and_the_field_finds_all_of_its_words(tmp_path: Path) -> None:
    names = ["SWA", "BBB", "HMC"]
    rows = [
        [block if k == 0 else "", name, str(k)]
        for block in ("NLL", "ECE (%)")
        for k, name in enumerate(names)
    ]
    script = """click(1); found.push(shown(1));
        type("ece b"); found.push(shown(0).concat(shown(1)));
        found.push([document.querySelector(".filter span").textContent]);
        type(""); found.push(shown(2))"""
    assert told(table_of(["Metric", "Method", "x"], rows), script, tmp_path) == [
        ["BBB", "HMC", "SWA"] * 2,
        ["ECE (%)", "BBB"],
        ["1 of 6"],
        ["1", "2", "0"] * 2,
    ]
