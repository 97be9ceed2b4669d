"""Printed tables in Markdown, LaTeX (booktabs) and HTML from one layout. Texts are text in each."""

import re
import unicodedata
from dataclasses import dataclass

from jinja2 import Environment
from tabulate import tabulate

NOTHING = "\N{EN DASH}"
LONG_TEXT = 40
"""Number of characters from which on an entry is broken into lines."""
ROWS_OF_A_PAGE = 50
"""Number of rows above which LaTeX breaks a table over pages, as a `longtable`."""


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


def to_markdown(table: PrintedTable) -> str:
    """Print a table as a Markdown pipe table below its caption."""
    spans = [group for group, width in table.groups for _ in range(width)]
    headings = [_markdown(f"{g} {c}".strip()) for g, c in zip(spans, table.columns, strict=True)]
    rows = [[_markdown_cell(cell) for cell in row] for row in table.rows]
    body = tabulate(rows, headings, tablefmt="pipe", disable_numparse=True)
    # at the start of a line these would begin a heading, a quotation or a list
    caption = re.sub(r"^(\d+(?=[.)] ))?(?=[#+>.)-])", r"\g<0>\\", _markdown(table.caption))
    return f"{caption}\n\n{body}\n"


_MARKUP = re.compile(
    r"[\\`*|~$]"  # code, emphasis, cells, strikethrough, mathematics
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis; within a word it is none
    r"|<(?=[A-Za-z/!?])|&(?=#?\w+;)"  # HTML
    r"|!(?=\[)|\](?=[(\[:])"  # images and links
)


def _markdown(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", text)


def _markdown_cell(cell: Cell) -> str:
    text = _markdown(cell.text)
    return f"**{text}**" if cell.best else text


_LATEX = r"""% needs \usepackage{booktabs} and \usepackage{xcolor}
{% if signs %}
% pdfLaTeX has no sign for some characters: it prints their numbers, LuaLaTeX and XeLaTeX them
\providecommand{\unicodesign}[2]{\ifdefined\Umathcode #1\else U+#2\fi}
{% endif %}
{% if long %}
% and \usepackage{longtable}, in a document of one column
{
  \footnotesize
  \setlength{\tabcolsep}{3pt}
  \begin{longtable}{ {{- widths -}} }
    \caption{ {{- table.caption | latex -}} }
    \label{ {{- table.label -}} } \\
{% else %}
\begin{table*}[t]
  \centering
  \caption{ {{- table.caption | latex -}} }
  \label{ {{- table.label -}} }
  \footnotesize
  \setlength{\tabcolsep}{3pt}
  \begin{tabular}{ {{- widths -}} }
{% endif %}
    \toprule
    {% for group, width in table.groups %}
    {{ "& " if not loop.first }}\multicolumn{ {{- width -}} }{c}{ {{- group | latex -}} }
    {% endfor %}
    \\
    {{ rules }}
    {{ table.columns | map("latex") | join(" & ") }} \\
    \midrule
    {% if long %}
    \endhead
    {% endif %}
    {% for row in table.rows %}
    {{ row | latex_row }} \\
    {% endfor %}
    \bottomrule
{% if long %}
  \end{longtable}
}
{% else %}
  \end{tabular}
\end{table*}
{% endif %}
"""

_LATEX_CHARACTERS = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "<": "$<$",
        ">": "$>$",
        "|": r"\textbar{}",
        "`": r"\textasciigrave{}",
        NOTHING: "--",
        "\0": "{}",
    }
)
_LIGATURE = re.compile(r"([-',])(?=\1)")
_NO_SIGN = re.compile(
    # of what is not Latin pdfLaTeX has punctuation and these symbols
    "[^\\0-\N{LATIN SMALL LETTER Z WITH CARON}"
    "\N{EN DASH}-\N{HORIZONTAL ELLIPSIS}\N{EURO SIGN}\N{TRADE MARK SIGN}]"
)


def _latex(text: str) -> str:
    apart = _LIGATURE.sub("\\1\0", unicodedata.normalize("NFC", text))
    escaped = apart.translate(_LATEX_CHARACTERS)
    return _NO_SIGN.sub(lambda sign: f"\\unicodesign{{{sign[0]}}}{{{ord(sign[0]):04X}}}", escaped)


def _latex_cell(cell: Cell) -> str:
    text = _latex(cell.text)
    if cell.best:
        return f"\\textbf{{{text}}}"
    return f"\\textcolor{{gray}}{{{text}}}" if cell.quoted and text else text


def _latex_row(row: list[Cell]) -> str:
    text = " & ".join(map(_latex_cell, row))
    # else the line before takes it for its argument
    return f"{{}}{text}" if text.startswith(("[", "*")) else text


def _long(table: PrintedTable) -> list[bool]:
    """Whether a column has long text, and is to be broken into lines."""
    return [
        any(len(row[column].text) > LONG_TEXT for row in table.rows)
        for column in range(len(table.columns))
    ]


def to_latex(table: PrintedTable) -> str:
    """Print a table as LaTeX's `table*` or, over several pages, `longtable`, with booktabs."""
    first, rules = 1, []
    for group, width in table.groups:
        if group:
            rules.append(f"\\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    environment = Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters |= {"latex": _latex, "latex_row": _latex_row}
    widths = "".join(
        "p{4cm}" if long else "c" if column else "l" for column, long in enumerate(_long(table))
    )
    texts = [table.caption, *table.columns, *(group for group, _ in table.groups)]
    texts += [cell.text for row in table.rows for cell in row]
    return environment.from_string(_LATEX).render(
        table=table,
        rules=" ".join(rules),
        widths=widths,
        long=len(table.rows) > ROWS_OF_A_PAGE,
        signs="unicodesign" in "".join(map(_latex, texts)),
    )


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
.block td { border-top: 1px solid #ddd; }
td.long { white-space: normal; min-width: 24rem; max-width: 40rem; }
.long { text-align: left; }
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
<th{% if long[loop.index0] %} class="long"{% endif %}>{{ column }}</th>
{% endfor %}
</tr>
</thead>
<tbody>
{% for row in table.rows %}
<tr{% if row[0].text %} class="block"{% endif %}>
{% for cell in row %}
<td{% if cell.best %} class="best"{% elif cell.quoted %} class="quoted"
{%- elif long[loop.index0] %} class="long"{% endif %}>
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
    """Print a table as an HTML page of its own, which Snakemake's report shows as it is."""
    environment = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=True)
    return environment.from_string(_HTML).render(table=table, long=_long(table))
