"""Printed tables in Markdown, LaTeX (booktabs) and HTML from one layout. Texts are text in each."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment
from tabulate import tabulate

from cardiouq.reporting.templates import SHARED, render

NOTHING = "\N{EN DASH}"
INFINITE = "\N{INFINITY}"
PRINTED = SHARED / "printed.html"
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
        notes: texts below the table that entries name by their numbers, from 1.
    """

    caption: str
    label: str
    groups: list[tuple[str, int]]
    columns: list[str]
    rows: list[list[Cell]]
    notes: Sequence[str] = ()


def hours(seconds: float) -> str:
    """Write seconds as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def to_markdown(table: PrintedTable) -> str:
    """Print a table as a Markdown pipe table below its caption."""
    spans = [group for group, width in table.groups for _ in range(width)]
    headings = [_markdown(f"{g} {c}".strip()) for g, c in zip(spans, table.columns, strict=True)]
    rows = [[_markdown_cell(cell) for cell in row] for row in table.rows]
    body = tabulate(rows, headings, tablefmt="pipe", disable_numparse=True)
    # at the start of a line these would begin a heading, a quotation or a list
    caption = re.sub(r"^(\d+(?=[.)] ))?(?=[#+>.)-])", r"\g<0>\\", _markdown(table.caption))
    notes = "".join(f"{n}. {_markdown(note)}\n" for n, note in enumerate(table.notes, start=1))
    return f"{caption}\n\n{body}\n" + (f"\n{notes}" if notes else "")


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
  {{ notes }}
}
{% else %}
  \end{tabular}
  {{ notes }}
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
        INFINITE: r"$\infty$",
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
    texts += [*(cell.text for row in table.rows for cell in row), *table.notes]
    notes = [f"\\par\\noindent {n}. {_latex(note)}" for n, note in enumerate(table.notes, start=1)]
    return environment.from_string(_LATEX).render(
        table=table,
        rules=" ".join(rules),
        widths=widths,
        long=len(table.rows) > ROWS_OF_A_PAGE,
        notes="\n  ".join(notes),
        signs="unicodesign" in "".join(map(_latex, texts)),
    )


def to_html(table: PrintedTable) -> str:
    """Print a table as an HTML page of its own, whose rows are sorted and filtered by a script."""
    return render(PRINTED, table=table, bodies=_bodies(table.rows), long=_long(table))


def table_in(page: str) -> str:
    """The table of a page of `to_html`, with its caption, to stand in another page."""
    start, end = page.index("<table"), page.index("</table>") + len("</table>")
    return page[start:end]


Body = list[tuple[list[Cell], bool]]
"""Rows that are sorted among themselves, each with whether it stays below the one before it."""


def _bodies(rows: list[list[Cell]]) -> list[Body]:
    """Break rows up where a block of metrics begins; all of its rows are given its name.

    A row without a name of its own is a row of the block above it or, if it quotes the paper, it
    belongs to the row above it.
    """
    quotes = [not row[0].text and any(cell.quoted for cell in row) for row in rows]
    own = [row for row, quoting in zip(rows, quotes, strict=True) if not quoting]
    has_blocks = any(not row[0].text for row in own)
    bodies: list[Body] = [[]]
    name = Cell("")
    for row, quoting in zip(rows, quotes, strict=True):
        if has_blocks and row[0].text:
            name = row[0]
            bodies.append([])
        named = row if row[0].text or quoting else [name, *row[1:]]
        bodies[-1].append((named, quoting))
    return [body for body in bodies if body]
