"""Printed tables: numbers, bold, the paper's beside ours, and sound LaTeX."""

import re
from html.parser import HTMLParser
from math import nan

import pandas as pd
import pytest

from cardiouq.reporting.printing import (
    NOTHING,
    Cell,
    PrintedTable,
    table_in,
    to_html,
    to_latex,
    to_markdown,
)
from cardiouq.reporting.tables.published import read_published, with_published
from cardiouq.reporting.tables.table1_dice import print_dice
from cardiouq.reporting.tables.table2_ece import print_ece
from tests.paths import CONFIG

ZHAO = CONFIG / "published/zhao2022.csv"
METHODS = {"vanilla": "Vanilla", "swa": "SWA", "own": "Own & new_1"}
TEST_SETS = {"val": "Phantom (ID)", "B": "M&Ms vendor B"}
CAPTION = "Dice, mean ± SD; 100 % of M&Ms_1 (n = 4)"


def summary(metric: str) -> pd.DataFrame:
    structures = ["RV", "MYO", "LV"] if metric == "dice" else ["all"]
    rows = [
        {"method": m, "test_set": t, "structure": s, "value": base + 0.01 * i, "sd": 0.05}
        for m, base in zip(METHODS, (0.8, 0.85, 0.8504), strict=True)
        for t in TEST_SETS
        for i, s in enumerate(structures)
    ]
    columns = {"level": "volume", "metric": metric, "low": nan, "high": nan, "n_empty": 1}
    table = pd.DataFrame(rows).assign(**columns)
    paper = {"val": "acdc-val", "B": "mnms-B"}
    return with_published(table, read_published(ZHAO), metric, {}, paper)


def compared(metric: str, structures: list[str]) -> pd.DataFrame:
    """Vanilla is told from both others, which differ by a thousandth, on one test set alone."""
    pairs = [("vanilla", "swa", -0.05), ("vanilla", "own", -0.0504), ("swa", "own", -0.0004)]
    rows = [
        {"method": m, "other": o, "test_set": t, "structure": s, "difference": d}
        | {"low": d - 0.001, "high": d + 0.001, "n_subjects": 6 if t == "val" else 5}
        for m, o, d in pairs
        for t in TEST_SETS
        for s in structures
    ]
    return pd.DataFrame(rows).assign(level="volume", metric=metric)


DICE = print_dice(
    summary("dice"), compared("dice", ["RV", "MYO", "LV"]), METHODS, TEST_SETS, CAPTION
)
ECE = print_ece(
    summary("ece_percent"), compared("ece_percent", ["all"]), METHODS, TEST_SETS, CAPTION
)


def test_dice_has_the_paper_below_ours_where_the_paper_has_the_method() -> None:
    assert [(row[0].text, row[1].text) for row in DICE.rows] == [
        ("Vanilla", "ours"),
        ("", "paper"),
        ("SWA", "ours"),
        ("", "paper"),
        ("Own & new_1", "ours"),
    ]
    assert DICE.rows[0][2].text == ".800 ± .050"
    assert DICE.rows[1][2].text == ".911 ± .052"
    assert DICE.rows[3][-2].text == ".897 ± .069"
    assert DICE.rows[0][-1].text == "6"  # one empty volume in each of 2 x 3 columns


def test_of_two_that_are_not_told_apart_none_is_bold() -> None:
    assert not any(cell.best for row in DICE.rows for cell in row)


def test_dice_has_its_interval_below() -> None:
    found = summary("dice").assign(low=0.7512, high=0.9)
    rows = print_dice(
        found, compared("dice", ["RV", "MYO", "LV"]), METHODS, TEST_SETS, CAPTION
    ).rows
    assert [row[1].text for row in rows[:3]] == ["ours", "interval", "paper"]
    assert rows[1][2].text == "[.751, .900]"


def test_ece_is_best_when_low_and_has_the_paper_beside() -> None:
    assert [cell.text for cell in ECE.rows[0]] == ["Vanilla", "0.80", "2.56", "0.80", "3.79", "2"]
    assert ECE.rows[2][2].text == NOTHING
    best = [[cell.best for cell in row] for row in ECE.rows]
    assert best[0] == [False, True, False, False, False, False]  # of five subjects none is told
    assert not any(best[1] + best[2])


@pytest.mark.parametrize("table", [DICE, ECE], ids=["dice", "ece"])
def test_latex_is_balanced_and_every_row_is_full(table: PrintedTable) -> None:
    text = to_latex(table)
    unescaped = re.sub(r"\\[\\&%$#_{}]", "", text)
    assert unescaped.count("{") == unescaped.count("}")
    assert unescaped.count("$") % 2 == 0
    begun, ended = (re.findall(rf"\\{word}{{(\w+\*?)}}", text) for word in ("begin", "end"))
    assert begun == ended[::-1] == ["table*", "tabular"]
    columns = re.search(r"\\begin{tabular}{(\w+)}", text)
    assert columns is not None and len(columns[1]) == len(table.columns)
    body = unescaped_rows(text)
    assert len(body) == len(table.rows)
    assert {row.count("&") for row in body} == {len(table.columns) - 1}
    assert r"\caption{Dice, mean $\pm$ SD; 100 \% of M\&Ms\_1 (n = 4)}" in text


def test_a_table_of_several_pages_is_a_longtable_with_broken_lines() -> None:
    rows = [[Cell("a < b"), Cell("word " * 20)]] * 60
    text = to_latex(PrintedTable("", "tab:x", [("", 2)], ["What", "Why"], rows))
    begun, ended = (re.findall(rf"\\{word}{{(\w+\*?)}}", text) for word in ("begin", "end"))
    assert begun == ended == ["longtable"]
    assert r"\begin{longtable}{lp{4cm}}" in text
    assert "a $<$ b & word word" in text
    assert 'class="long"' in to_html(PrintedTable("", "", [("", 2)], ["What", "Why"], rows))


def unescaped_rows(text: str) -> list[str]:
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [line.replace(r"\&", "") for line in body.strip().splitlines()]


@pytest.mark.parametrize("table", [DICE, ECE], ids=["dice", "ece"])
def test_markdown_holds_caption_and_every_entry(table: PrintedTable) -> None:
    lines = to_markdown(table).splitlines()
    assert lines[0] == CAPTION
    printed = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines[4:]]
    assert printed == [[cell.text for cell in row] for row in table.rows]


@pytest.mark.parametrize("table", [DICE, ECE], ids=["dice", "ece"])
def test_html_holds_every_entry_escaped(table: PrintedTable) -> None:
    class Cells(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.rows: list[list[str]] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag == "tr":
                self.rows.append([])
            if tag == "td":
                self.rows[-1].append("")

        def handle_data(self, data: str) -> None:
            if self.rows and self.rows[-1]:
                self.rows[-1][-1] += data.strip()

    text = to_html(table)
    cells = Cells()
    cells.feed(table_in(text))
    assert cells.rows[2:] == [[cell.text for cell in row] for row in table.rows]
    assert "M&amp;Ms vendor B" in text


def rows_of(page: str) -> list[list[tuple[str, str]]]:
    """By body of a page's table, (class, text of the first cell) of each row."""
    bodies = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    pattern = r'<tr(?: class="(\w+)")?>\s*<td[^>]*>(.*?)</td>'
    return [re.findall(pattern, body, re.DOTALL) for body in bodies]


def test_paper_s_row_follows_ours_and_a_block_s_rows_have_its_name() -> None:
    ours, paper = ("", "Vanilla"), ("follows", "")
    assert rows_of(to_html(DICE))[0][:2] == [ours, paper]
    rows = [[Cell(name), Cell(method)] for name, method in (("NLL", "a"), ("", "b"), ("ECE", "a"))]
    page = to_html(PrintedTable("", "", [("", 2)], ["Metric", "Method"], rows))
    assert rows_of(page) == [[("", "NLL"), ("", "NLL")], [("", "ECE")]]


@pytest.fixture(scope="module")
def odd(hostile: list[str]) -> PrintedTable:
    """A table of names that mean something in each form."""
    rows = [[Cell(name), Cell(name, best=True), Cell(name, quoted=True)] for name in hostile]
    return PrintedTable(
        " ".join(hostile), "tab:odd", [("", 1), (hostile[1], 2)], ["a", "b", hostile[18]], rows
    )


def test_markdown_of_any_name_has_its_cells_and_no_markup(
    odd: PrintedTable, hostile: list[str]
) -> None:
    lines = to_markdown(odd).splitlines()
    assert len(lines) == 4 + len(hostile)
    for line, name in zip(lines[4:], hostile, strict=True):
        cells = re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]
        assert len(cells) == 3
        # as a renderer reads escapes
        assert re.sub(r"\\([!-/:-@[-`{-~])", r"\1", cells[0].strip()) == name
        assert not re.search(r"(?<!\\)(?:\\\\)*(?:[`*~$]|<[A-Za-z/!?])", cells[0])


def test_latex_of_any_name_has_no_command_but_the_program_s(
    odd: PrintedTable, hostile: list[str]
) -> None:
    text = to_latex(odd)
    known = {"textbackslash", "textasciitilde", "textasciicircum", "textbar", "textasciigrave"}
    known |= {"unicodesign", "textbf", "textcolor"}
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert set(re.findall(r"\\([A-Za-z]+)", body)) == known
    assert len(re.findall(r" \\\\\n", body)) == len(hostile)
    assert not re.search(r"^ *[\[*]", body, re.MULTILINE)
    assert r"\unicodesign{心}{5FC3}" in body
    assert "Größe" in body


def test_ordinary_names_are_printed_as_ever() -> None:
    names = [
        "Ckpt. Ens. (Single)",
        "M&Ms vendor B",
        "ASSD_within",
        "[0.1, 0.2]",
        "p < 0.05",
        "50 %",
    ]
    table = PrintedTable(
        "A caption.", "tab:x", [("", 2)], ["What", "x"], [[Cell("a"), Cell(n)] for n in names]
    )
    assert all(f"| {name} " in to_markdown(table) for name in names)
    latex = ["Ckpt. Ens. (Single)", r"M\&Ms vendor B", r"ASSD\_within", "[0.1, 0.2]"]
    assert all(f"    a & {name} \\\\\n" in to_latex(table) for name in latex)
    assert "unicodesign" not in to_latex(table)
