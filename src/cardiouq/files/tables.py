"""Readers of the program's own tables, in which text stays the text that was written.

A reader that guesses takes a subject NA for a missing one, a scanner 001 for 1 and a site 1e3 for
1000. So it is said here which columns are text; what users wrote is read by `data.layouts`.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from cardiouq.errors import CardiouqError
from cardiouq.files.reading import read

CASES = ("dataset", "part", "subject", "visit", "case", "phase", "pathology", "vendor", "centre")
SCORES = ("method", "other", "test_set", "level", "structure", "quantity", "unit", "metric")
TEXT = (*CASES, *SCORES, "label", "kind", "by", "member")
"""Columns that are text in every table; unless said otherwise, all others are numbers."""
NOT_MEASURED = ("-", "NA")
"""Cells of Snakemake's benchmarks of a job that was too short to measure."""
MOST_NAMED = 5


def read_rows(path: str | Path, numbers: Mapping[str, type] | None = None) -> pd.DataFrame:
    """Read a CSV that another job made; an empty cell is empty text, or a missing number.

    Args:
        path: of the table.
        numbers: column -> type of the only columns that are numbers, for a table that may have
            columns of the user's own; None: all are numbers (True and False among them) but those
            of `TEXT`.

    Raises:
        CardiouqError: it is missing or not as it was made, is no table, or a column of numbers
            holds something else.
    """
    return parse_rows(read(path), path, numbers)


def parse_rows(
    content: bytes, path: str | Path, numbers: Mapping[str, type] | None = None
) -> pd.DataFrame:
    """Parse a table that no job made, or that one still adds to; else as `read_rows`."""
    try:
        return _rows(content, path, numbers)
    except ValueError as error:  # of its encoding or its form
        raise CardiouqError(
            f"{path}: cannot be read as a table ({error}); have the table made again"
        ) from error


def _rows(content: bytes, path: str | Path, numbers: Mapping[str, type] | None) -> pd.DataFrame:
    heading = pd.read_csv(io.BytesIO(content), nrows=0).columns.tolist()
    is_text = [name in TEXT if numbers is None else name not in numbers for name in heading]
    text = [name for name, is_so in zip(heading, is_text, strict=True) if is_so]
    table = pd.read_csv(
        io.BytesIO(content),
        dtype=dict(numbers or {}) | dict.fromkeys(text, str),
        keep_default_na=False,
        na_values={name: [""] for name in heading if name not in text},
    )
    for name in table.columns.drop(text) if len(table) else ():
        if not is_numeric_dtype(table[name]):
            raise CardiouqError(
                f"{path}: column {name} holds {table[name].unique().tolist()[:MOST_NAMED]}; "
                "expected numbers; have the table made again"
            )
    return table


def read_benchmark(path: str | Path) -> pd.DataFrame:
    """Read a benchmark of Snakemake's; what was not measured is missing."""
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=list(NOT_MEASURED))


def add_columns(
    rows: pd.DataFrame, others: pd.DataFrame, on: Sequence[str], where: str
) -> pd.DataFrame:
    """Join to each row the columns of the one row of another table that has the same key.

    Args:
        rows, others: tables with the columns of the key.
        on: columns of the key.
        where: what `others` are, for the error.

    Raises:
        CardiouqError: naming the keys of which the other table has no row, or several.
    """
    keys = [pd.MultiIndex.from_frame(table[list(on)]) for table in (rows, others)]
    for wrong, found in (
        (keys[0][~keys[0].isin(keys[1])], "no row"),
        (keys[1][keys[1].duplicated()], "several rows"),
    ):
        if len(wrong):
            named = [" ".join(map(str, key)) for key in wrong.unique()[:MOST_NAMED]]
            raise CardiouqError(
                f"{where}: {found} of {', '.join(on)} {named}; expected one of each; have the "
                "table made again"
            )
    return rows.merge(others, on=list(on))
