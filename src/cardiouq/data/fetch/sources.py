"""The sources of public data sets and the terms they are under: `config/data_sources.csv`."""

import re
from dataclasses import dataclass, fields
from pathlib import Path

from cardiouq.errors import CardiouqError, ProblemsError
from cardiouq.files.tables import parse_rows

ACCESS = ("open", "form", "application", "private")
"""Who gets a data set: anyone by its url, anyone who fills in a form, approved projects, no one."""


@dataclass(frozen=True)
class Source:
    """One row of the table of sources; only an `open` data set has an archive, else "" and 0.

    Of the archive, the content of `archive_folder` becomes the data root.
    """

    dataset: str
    access: str
    url: str
    bytes: int
    sha256: str
    archive_folder: str
    apply_at: str
    licence: str
    citation: str
    checked: str
    note: str

    @property
    def by_hand(self) -> str:
        """End of a sentence that says what to do where a download fails."""
        return f"see {self.apply_at} for how to get it by hand"


COLUMNS = tuple(field.name for field in fields(Source))
PATTERNS = {
    "url": (r"https?://\S+", "an address"),
    "bytes": (r"[1-9]\d*", "the archive's size in bytes"),
    "sha256": (r"[0-9a-f]{64}", "64 hexadecimal digits, lower case"),
    "archive_folder": (r"[^/\\.][^/\\]*(/[^/\\.][^/\\]*)*", "a folder as in `ACDC/database`"),
}
"""Column -> pattern, and its words, of what an open data set's archive needs."""


def read_sources(path: str | Path) -> dict[str, Source]:
    """Read the table of sources, by data set.

    Raises:
        CardiouqError: if there is no such table, or it has other columns.
        ProblemsError: for every cell that cannot be used.
    """
    if not Path(path).is_file():
        raise CardiouqError(f"{path}: no such file; expected the table of data sources")
    table = parse_rows(Path(path).read_bytes(), path, numbers={})
    if tuple(table.columns) != COLUMNS:
        raise CardiouqError(f"{path}: columns {list(table.columns)}; expected {list(COLUMNS)}")
    problems: list[str] = []
    sources: dict[str, Source] = {}
    for line, cells in enumerate(table.itertuples(index=False), start=2):  # line 1: headings
        row = dict(zip(COLUMNS, cells, strict=True))
        found = [f"line {line}: {problem}" for problem in _problems(row)]
        if row["dataset"] in sources:
            found.append(f"line {line}: {row['dataset']} is given twice; keep one")
        problems += found
        if not found:
            sources[row["dataset"]] = Source(**{**row, "bytes": int(row["bytes"] or 0)})
    if problems:
        raise ProblemsError(f"{path}: rows that cannot be used:", problems)
    return sources


def _problems(row: dict[str, str]) -> list[str]:
    problems = [f"{name} is empty" for name in ("dataset", "apply_at") if not row[name]]
    if row["access"] not in ACCESS:
        problems.append(f"access is {row['access']!r}; expected one of {list(ACCESS)}")
    for name, (pattern, words) in PATTERNS.items():
        if row["access"] == "open" and not re.fullmatch(pattern, row[name]):
            problems.append(f"{name} is {row[name]!r}; an open data set needs {words}")
        if row["access"] != "open" and row[name]:
            problems.append(f"{name} is {row[name]!r}; expected none, as access is not open")
    return problems
