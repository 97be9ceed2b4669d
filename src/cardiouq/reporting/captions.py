"""Captions: one text for the report, Markdown, LaTeX and HTML."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sized
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

Row = Mapping[str, str]


def render_caption(template: str | Path, snakemake: Any) -> str:
    """Fill a caption of `workflow/report/` in as Snakemake's report does, on one line.

    Raises:
        jinja2.UndefinedError: the template names a parameter that the rule has not got.
    """
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    text = environment.from_string(Path(template).read_text(encoding="utf-8"))
    return " ".join(text.render(snakemake=snakemake).split())


def count_volumes(cases: str | Path, test_sets: str | Path, labels: dict[str, str]) -> str:
    """Say how many volumes and subjects each test set holds, and how many volumes are annotated in
    part only, for captions.

    Reads the files with the standard library alone: the workflow calls this whenever it starts.

    Args:
        cases: path of `cases.csv`.
        test_sets: path of `test_sets.csv`.
        labels: name of a test set -> how it is printed, in the order of printing.
    """
    with Path(cases).open(newline="", encoding="utf-8") as stream:
        rows = {row["case"]: row for row in csv.DictReader(stream)}
    members: dict[str, dict[str, Row]] = defaultdict(dict)
    with Path(test_sets).open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            members[row["test_set"]][row["case"]] = rows[row["case"]]
    return ", ".join(f"{label}: {_count_all(members[name])}" for name, label in labels.items())


def count_cases(cases: str | Path) -> str:
    """Say of how many volumes and subjects a case table is, as `count_volumes`; a scan and its
    distorted twins are one.

    Args:
        cases: path of `cases.csv` or `distorted_cases.csv`.
    """
    with Path(cases).open(newline="", encoding="utf-8") as stream:
        return _count_all({row["case"].partition("+")[0]: row for row in csv.DictReader(stream)})


def _count_all(volumes: Mapping[str, Row]) -> str:
    """Volumes and subjects of rows of a case table by volume."""
    subjects = {row["subject"] for row in volumes.values()}
    in_part = [row for row in volumes.values() if row.get("ignored_voxels", "0") != "0"]
    counts = f"{_count(volumes, 'volume')} of {_count(subjects, 'subject')}"
    return f"{counts} ({len(in_part)} annotated in part)" if in_part else counts


def _count(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
