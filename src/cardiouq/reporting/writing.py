"""Writer of a table for machines and, in three forms, for people."""

from typing import Any

import pandas as pd

from cardiouq.files.writing import atomic_write
from cardiouq.reporting.printing import PrintedTable, to_html, to_latex, to_markdown


def write_table(rows: pd.DataFrame, printed: PrintedTable, output: Any) -> None:
    """Write a table's rows as CSV and its layout in three formats.

    Args:
        rows: for machines; numbers get six digits.
        printed: for people.
        output: the paths `csv`, `md`, `tex` and `html`, as a rule's outputs are named.
    """
    with atomic_write(output.csv) as temporary:
        rows.to_csv(temporary, index=False, float_format="%.6g")
    for path, text in (
        (output.md, to_markdown(printed)),
        (output.tex, to_latex(printed)),
        (output.html, to_html(printed)),
    ):
        with atomic_write(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
