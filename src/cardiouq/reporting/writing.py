"""Writing a summary and its printed forms."""

from pathlib import Path

import pandas as pd

from cardiouq.files import written_whole
from cardiouq.reporting.printing import PrintedTable, to_html, to_latex, to_markdown
from cardiouq.reporting.tables import COLUMNS


def write_summary(summary: pd.DataFrame, path: str | Path) -> None:
    """Write a summary as CSV in long format, one row per method, test set and structure."""
    with written_whole(path) as temporary:
        summary[COLUMNS].to_csv(temporary, index=False, float_format="%.6g")


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
