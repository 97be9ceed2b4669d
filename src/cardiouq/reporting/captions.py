"""Captions: one text for the report, Markdown, LaTeX and HTML."""

import csv
from collections import defaultdict
from collections.abc import Sized
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined


def render_caption(template: str | Path, snakemake: Any) -> str:
    """Fill a caption of `workflow/report/` in as Snakemake's report does, on one line.

    Raises:
        jinja2.UndefinedError: the template names a parameter that the rule has not got.
    """
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    text = environment.from_string(Path(template).read_text(encoding="utf-8"))
    return " ".join(text.render(snakemake=snakemake).split())


def count_volumes(cases: str | Path, test_sets: str | Path, labels: dict[str, str]) -> str:
    """Say how many volumes and subjects each test set holds, for captions.

    Reads the files with the standard library alone: the workflow calls this whenever it starts.

    Args:
        cases: path of `cases.csv`.
        test_sets: path of `test_sets.csv`.
        labels: name of a test set -> how it is printed, in the order of printing.
    """
    with Path(cases).open(newline="", encoding="utf-8") as stream:
        subjects = {row["case"]: row["subject"] for row in csv.DictReader(stream)}
    members: dict[str, list[str]] = defaultdict(list)
    with Path(test_sets).open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            members[row["test_set"]].append(subjects[row["case"]])
    return ", ".join(
        f"{label}: {_count(members[name], 'volume')} of {_count(set(members[name]), 'subject')}"
        for name, label in labels.items()
    )


def count_cases(cases: str | Path) -> str:
    """Say of how many volumes and subjects a case table is, for captions; a scan and its distorted
    twins are one.

    Args:
        cases: path of `cases.csv` or `distorted_cases.csv`.
    """
    with Path(cases).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    volumes = {row["case"].partition("+")[0] for row in rows}
    return f"{_count(volumes, 'volume')} of {_count({row['subject'] for row in rows}, 'subject')}"


def _count(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
