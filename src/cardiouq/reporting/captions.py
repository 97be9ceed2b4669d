"""Captions, one text for the report, Markdown, LaTeX and HTML."""

from collections.abc import Sequence, Sized
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from cardiouq.files.tables import add_columns, read_rows
from cardiouq.provenance.record import repository
from cardiouq.reporting.shown import unescaped

CAPTIONS = repository() / "workflow" / "report"


def render_caption(template: str | Path, snakemake: Any) -> str:
    """Fill a caption in as Snakemake's report does, as plain text on one line.

    Args:
        template: a file in `workflow/report`.
        snakemake: the job, whose parameters hold texts as `shown.escaped` escapes them.

    Raises:
        jinja2.UndefinedError: the template names a parameter that the rule has not got.
    """
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    text = environment.from_string((CAPTIONS / template).read_text(encoding="utf-8"))
    lines = text.render(snakemake=snakemake).strip().split("\n")
    return str(unescaped(" ".join(line.strip() for line in lines)))


def count_volumes(cases: str | Path, test_sets: str | Path, labels: dict[str, str]) -> str:
    """Count the volumes and subjects of each test set in words, and what is annotated in part.

    Args:
        cases: path of `cases.csv`.
        test_sets: path of `test_sets.csv`.
        labels: name of a test set -> how it is printed, in the order of printing, for a rule's
            parameter as `shown.escaped` escapes it.
    """
    of_test_set = dict(list(_tested(cases, test_sets).groupby("test_set")))
    return ", ".join(f"{label}: {_count_all(of_test_set[name])}" for name, label in labels.items())


def name_phases(cases: str | Path, test_sets: str | Path) -> str:
    """Name the phases of all test sets' volumes, as ` at ED and ES`; "" where none is known.

    Args:
        cases: path of `cases.csv`.
        test_sets: path of `test_sets.csv`.
    """
    phases = sorted(set(_tested(cases, test_sets)["phase"]) - {""})
    return f" at {in_words(phases)}" if phases else ""


def count_cases(cases: str | Path) -> str:
    """Count a case table's volumes and subjects in words; a scan and its distorted twins are one.

    Args:
        cases: path of `cases.csv` or `distorted_cases.csv`.
    """
    rows = _rows(cases)
    volumes = rows["case"].str.partition("+")[0]
    return _count_all(rows.assign(case=volumes).drop_duplicates("case"))


def in_words(names: Sequence[str]) -> str:
    """Join one name or more, as `A, B and C`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _tested(cases: str | Path, test_sets: str | Path) -> pd.DataFrame:
    """The rows of `test_sets.csv` with those of their cases."""
    return add_columns(_rows(test_sets), _rows(cases), ["case"], str(cases))


def _rows(table: str | Path) -> pd.DataFrame:
    """Read a table as text; one that is not there is the error that Snakemake asks for."""
    return _read(table, Path(table).stat().st_mtime_ns)


# rules ask for their captions' counts one by one
@cache
def _read(table: str | Path, changed: int) -> pd.DataFrame:
    """A table as it was written at some time, in nanoseconds; nobody may change it."""
    return read_rows(table, numbers={})


def _count_all(volumes: pd.DataFrame) -> str:
    """Volumes and subjects of rows of a case table, one row a volume."""
    # earlier versions knew of none, and Snakemake asks before their table is made again
    in_part = sum(voxels != "0" for voxels in volumes.get("ignored_voxels", ()))
    counts = f"{_count(volumes, 'volume')} of {_count(set(volumes['subject']), 'subject')}"
    return f"{counts} ({in_part} annotated in part)" if in_part else counts


def _count(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
