"""Summaries as printed tables: Markdown, LaTeX (booktabs) and HTML from one layout."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment
from tabulate import tabulate

from cardiouq.structures import STRUCTURES

NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Cell:
    """One printed entry; `best` is set in bold, `quoted` (the paper's) in grey."""

    text: str
    best: bool = False
    quoted: bool = False


@dataclass(frozen=True)
class PrintedTable:
    """A table with two rows of headings; the first column is set flush left.

    Attributes:
        caption: plain text.
        label: LaTeX's label.
        groups: upper headings and how many columns each spans.
        columns: lower headings.
        rows: entries, as many in each row as there are columns.
    """

    caption: str
    label: str
    groups: list[tuple[str, int]]
    columns: list[str]
    rows: list[list[Cell]]


def print_dice(
    summary: pd.DataFrame, methods: dict[str, str], test_sets: dict[str, str], caption: str
) -> PrintedTable:
    """Lay Table 1 out: per method a row of ours and below it the paper's, where it has one.

    Args:
        summary: from `tables.summarise_dice` and `published.with_published`.
        methods, test_sets: key -> printed label, in order.
        caption: plain text.
    """
    by_key = _by_key(summary, decimals=3, largest=True)
    keys = [(test_set, structure) for test_set in test_sets for structure in STRUCTURES]
    rows = []
    for method, label in methods.items():
        numbers = [by_key[method, *key] for key in keys]
        ours = [
            Cell(_plus_minus(number["mean"], number["sd"]), best=number["best"])
            for number in numbers
        ]
        n_empty = sum(number["n_empty"] for number in numbers)
        rows.append([Cell(label), Cell("ours"), *ours, Cell(str(n_empty))])
        if any(pd.notna(number["published"]) for number in numbers):
            theirs = [
                Cell(_plus_minus(number["published"], number["published_sd"]), quoted=True)
                for number in numbers
            ]
            rows.append([Cell(""), Cell("paper", quoted=True), *theirs, Cell("")])
    return PrintedTable(
        caption,
        "tab:dice",
        [("", 2), *((label, len(STRUCTURES)) for label in test_sets.values()), ("", 1)],
        ["Method", "", *(structure for _, structure in keys), "Empty"],
        rows,
    )


def print_ece(
    summary: pd.DataFrame, methods: dict[str, str], test_sets: dict[str, str], caption: str
) -> PrintedTable:
    """Lay Table 2 out: per test set a column of ours and beside it the paper's.

    Arguments as of `print_dice`; numbers are in percent.
    """
    by_key = _by_key(summary, decimals=2, largest=False)
    rows = []
    for method, label in methods.items():
        numbers = [by_key[method, test_set, ""] for test_set in test_sets]
        row = [Cell(label)]
        for number in numbers:
            row.append(Cell(f"{number['mean']:.2f}", best=number["best"]))
            theirs = NOTHING if pd.isna(number["published"]) else f"{number['published']:.2f}"
            row.append(Cell(theirs, quoted=True))
        rows.append([*row, Cell(str(sum(number["n_empty"] for number in numbers)))])
    return PrintedTable(
        caption,
        "tab:ece",
        [("", 1), *((label, 2) for label in test_sets.values()), ("", 1)],
        ["Method", *(["ours", "paper"] * len(test_sets)), "Empty"],
        rows,
    )


def _by_key(
    summary: pd.DataFrame, decimals: int, largest: bool
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Rows by method, test set and structure; `best` says whether the mean is the best of its
    column, where equal as printed is equally good."""
    means = summary["mean"].round(decimals)
    columns = means.groupby([summary["test_set"], summary["structure"]])
    best = means == columns.transform("max" if largest else "min")
    rows = summary.assign(best=best).to_dict("records")
    return {
        (row["method"], row["test_set"], row["structure"]): {str(k): v for k, v in row.items()}
        for row in rows
    }


def _plus_minus(mean: float, sd: float) -> str:
    """`.911 ± .052`, as the paper prints Dice."""
    if pd.isna(mean):
        return NOTHING
    parts = [f"{value:.3f}".removeprefix("0") for value in (mean, sd) if np.isfinite(value)]
    return " ± ".join(parts)


def to_markdown(table: PrintedTable) -> str:
    """A pipe table below its caption."""
    spans = [group for group, width in table.groups for _ in range(width)]
    headings = [f"{g} {c}".strip() for g, c in zip(spans, table.columns, strict=True)]
    rows = [[f"**{c.text}**" if c.best else c.text for c in row] for row in table.rows]
    body = tabulate(rows, headings, tablefmt="pipe", disable_numparse=True)
    return f"{table.caption}\n\n{body}\n"


_LATEX = r"""% needs \usepackage{booktabs} and \usepackage{xcolor}
\begin{table*}[t]
  \centering
  \caption{ {{- table.caption | latex -}} }
  \label{ {{- table.label -}} }
  \footnotesize
  \setlength{\tabcolsep}{3pt}
  \begin{tabular}{l{{ "c" * (table.columns | length - 1) }}}
    \toprule
    {% for group, width in table.groups %}
    {{ "& " if not loop.first }}\multicolumn{ {{- width -}} }{c}{ {{- group | latex -}} }
    {% endfor %}
    \\
    {{ rules }}
    {{ table.columns | map("latex") | join(" & ") }} \\
    \midrule
    {% for row in table.rows %}
    {{ row | map("latex_cell") | join(" & ") }} \\
    {% endfor %}
    \bottomrule
  \end{tabular}
\end{table*}
"""

_LATEX_CHARACTERS = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        NOTHING: "--",
    }
)


def _latex(text: str) -> str:
    return text.translate(_LATEX_CHARACTERS)


def _latex_cell(cell: Cell) -> str:
    text = _latex(cell.text)
    if cell.best:
        return f"\\textbf{{{text}}}"
    return f"\\textcolor{{gray}}{{{text}}}" if cell.quoted and text else text


def to_latex(table: PrintedTable) -> str:
    """A `table*` with booktabs' rules; special characters are escaped."""
    first, rules = 1, []
    for group, width in table.groups:
        if group:
            rules.append(f"\\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    environment = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters |= {"latex": _latex, "latex_cell": _latex_cell}
    return environment.from_string(_LATEX).render(table=table, rules=" ".join(rules))


_HTML = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ table.label }}</title>
<style>
body { font: 14px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 1.5rem; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; }
caption { caption-side: top; text-align: left; padding-bottom: .8rem; max-width: 60rem; }
th, td { padding: .2rem .6rem; text-align: center; white-space: nowrap; }
th { font-weight: 600; }
th span { display: block; border-bottom: 1px solid; }
tbody { border-top: 1px solid; }
td:first-child, th:first-child { text-align: left; }
td { font-variant-numeric: tabular-nums; }
.best { font-weight: 700; }
.quoted { color: #767676; }
</style>
</head>
<body>
<table>
<caption>{{ table.caption }}</caption>
<thead>
<tr>
{% for group, width in table.groups %}
<th colspan="{{ width }}">{% if group %}<span>{{ group }}</span>{% endif %}</th>
{% endfor %}
</tr>
<tr>
{% for column in table.columns %}
<th>{{ column }}</th>
{% endfor %}
</tr>
</thead>
<tbody>
{% for row in table.rows %}
<tr>
{% for cell in row %}
<td{% if cell.best %} class="best"{% elif cell.quoted %} class="quoted"{% endif %}>
{{- cell.text -}}
</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
</body>
</html>
"""


def to_html(table: PrintedTable) -> str:
    """A page of its own, which Snakemake's report shows as it is."""
    environment = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=True)
    return environment.from_string(_HTML).render(table=table)
