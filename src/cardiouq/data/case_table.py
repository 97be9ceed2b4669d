"""Reading the case table.

Whatever is made from it depends on this module, which knows no adapter: a new layout makes nothing
anew.
"""

from pathlib import Path

import pandas as pd

from cardiouq.files.tables import read_rows

NUMBERS = dict.fromkeys(("frame", "slices", "rows", "columns", "ignored_voxels"), int) | (
    dict.fromkeys(("spacing_z", "spacing_y", "spacing_x"), float)
)
"""Types of the case table's columns that are not text."""
FORMAT_VERSION = 2
"""Version of the case table's columns; a new one has existing results list their cases anew."""


def read_case_table(*paths: str | Path) -> pd.DataFrame:
    """Read case tables as one; all but numbers is text, and what is empty is empty text."""
    tables = [read_rows(path, NUMBERS) for path in paths]
    return pd.concat(tables, ignore_index=True).fillna("")
