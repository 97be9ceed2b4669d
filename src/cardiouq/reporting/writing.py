"""Writing the printed forms of a table."""

from pathlib import Path

from cardiouq.files import written_whole
from cardiouq.reporting.printing import PrintedTable, to_html, to_latex, to_markdown


def write_printed(
    table: PrintedTable, markdown: str | Path, latex: str | Path, html: str | Path
) -> None:
    """Write a table for people, in three formats."""
    for path, text in (
        (markdown, to_markdown(table)),
        (latex, to_latex(table)),
        (html, to_html(table)),
    ):
        with written_whole(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
