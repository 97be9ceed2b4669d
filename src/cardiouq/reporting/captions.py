"""Captions: one text for the report, Markdown, LaTeX and HTML."""

from collections import defaultdict
from collections.abc import Sized
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from cardiouq.tables import add_columns, read_rows


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

    Args:
        cases: path of `cases.csv`.
        test_sets: path of `test_sets.csv`.
        labels: name of a test set -> how it is printed, in the order of printing.
    """
    subjects = read_rows(cases, numbers={})[["case", "subject"]]
    tested = add_columns(read_rows(test_sets, numbers={}), subjects, ["case"], str(cases))
    members: dict[str, list[str]] = defaultdict(list)
    for test_set, subject in zip(tested["test_set"], tested["subject"], strict=True):
        members[test_set].append(subject)
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
    rows = read_rows(cases, numbers={})
    volumes = {case.partition("+")[0] for case in rows["case"]}
    return f"{_count(volumes, 'volume')} of {_count(set(rows['subject']), 'subject')}"


def _count(things: Sized, noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"
