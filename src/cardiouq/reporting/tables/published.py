"""Numbers and claims of the papers, as `config/published/README.md` explains, beside ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from cardiouq.errors import CardiouqError
from cardiouq.files.tables import parse_rows
from cardiouq.provenance.record import repository
from cardiouq.structures import FOREGROUND, STRUCTURES

NUMBER = ["method", "test_set", "level", "metric", "structure"]
COLUMNS = ["paper", "table", *NUMBER, "value", "sd", "n_subjects", "unknown"]
PAIR = ["level", "metric", "test_set", "structure", "smaller", "larger"]
CLAIM_COLUMNS = ["paper", "claim", "table", "text", *PAIR, "strict", "unknown"]
ALLOWED = {
    "level": ["volume", "slice", ""],
    "structure": [*STRUCTURES, FOREGROUND, "all"],
    "strict": ["true", "false"],
}


class Paper(NamedTuple):
    """A paper that stands beside a study."""

    numbers: pd.DataFrame
    claims: pd.DataFrame
    study: Mapping[str, Any] | None
    """Settings of the paper's own study."""


def files_of(paper: str | None) -> list[Path]:
    """Files of a paper's numbers and claims; none of no paper."""
    names = ("{}.csv", "{}_claims.csv") if paper else ()
    return [repository() / "config" / "published" / name.format(paper) for name in names]


def read_paper(study: Mapping[str, Any]) -> Paper:
    """Read the paper that a study stands beside; empty if it stands beside none."""
    numbers, claims = files_of(study["reporting"]["published"]) or (None, None)
    return Paper(read_published(numbers), read_claims(claims), study.get("paper"))


def read_published(path: str | Path | None) -> pd.DataFrame:
    """Read `config/published/<paper>.csv`; None is a study that stands beside no paper.

    Returns:
        The file's rows; value, sd and n_subjects are numbers (NaN where the paper has none), the
        rest is text.

    Raises:
        CardiouqError: columns differ, an entry is not allowed, or a number is given twice.
    """
    table = _read(path, COLUMNS, NUMBER)
    for column in ("value", "sd", "n_subjects"):
        numbers = pd.to_numeric(table[column], errors="coerce").astype(float)
        required = (table[column] != "") | (column == "value")
        _refuse(path, table[numbers.isna() & required], column, "a number")
        table[column] = numbers
    return table


def read_claims(path: str | Path | None) -> pd.DataFrame:
    """Read `config/published/<paper>_claims.csv`; None is a study that stands beside no paper.

    Returns:
        The file's rows; strict is true or false, the rest is text.

    Raises:
        CardiouqError: columns differ, an entry is not allowed, or a pair is given twice.
    """
    table = _read(path, CLAIM_COLUMNS, ["claim", *PAIR])
    return table.assign(strict=table["strict"] == "true")


def find_paper_test_sets(study: Mapping[str, Any]) -> dict[str, str]:
    """Our test set -> the paper's name of it.

    Among them are distorted ones, and kinds of distortion, over all degrees, which a paper calls as
    we do.
    """
    named = {name: block["published"] for name, block in study["test_sets"].items()}
    distortions = study.get("distortions", {"kinds": {}})
    for degree, paper in distortions.get("published", {}).items():
        named[f"{distortions['test_set']}+{degree}"] = paper
    named |= {kind: kind for kind in distortions["kinds"]}
    return {ours: paper for ours, paper in named.items() if paper}


def find_paper_methods(study: Mapping[str, Any]) -> dict[str, str]:
    """Our method -> the paper's name of it: its own, unless it is another reading of the paper's.

    Where a paper leaves a setting open, several of our methods may stand for one of its.
    """
    return {name: block.get("reading_of", name) for name, block in study["methods"].items()}


def beside_ours(summary: pd.DataFrame, metric: str, study: Mapping[str, Any]) -> pd.DataFrame:
    """Join to our numbers of a metric over volumes the columns of `with_published`.

    Args:
        summary: rows of `summary.csv`.
        metric: its name.
        study: settings of the study that ran, which say beside which paper it stands.
    """
    ours = summary[(summary["level"] == "volume") & (summary["metric"] == metric)]
    names = find_paper_methods(study), find_paper_test_sets(study)
    return with_published(ours, read_paper(study).numbers, metric, *names)


def with_published(
    summary: pd.DataFrame,
    published: pd.DataFrame,
    metric: str,
    paper_methods: Mapping[str, str],
    paper_test_sets: Mapping[str, str],
) -> pd.DataFrame:
    """Add the columns `published` and `published_sd` (NaN where the paper has no such number).

    Args:
        summary: rows of one metric with columns method, test_set, level and structure.
        published: from `read_published`.
        metric: as both tables name it, such as `dice` or `ece_percent`.
        paper_methods: from `find_paper_methods`.
        paper_test_sets: our test set -> the paper's test set that it stands beside.
    """
    numbers = published[published["metric"] == metric]
    numbers = numbers.set_index(["method", "test_set", "level", "structure"])[["value", "sd"]]
    keys = zip(
        [paper_methods.get(name, name) for name in summary["method"]],
        # None is no test set of a paper, unlike "", which is one that the paper does not name
        [paper_test_sets.get(name) for name in summary["test_set"]],
        summary["level"],
        summary["structure"],
        strict=True,
    )
    beside = numbers.reindex(pd.MultiIndex.from_tuples(list(keys), names=numbers.index.names))
    return summary.assign(
        published=beside["value"].to_numpy(), published_sd=beside["sd"].to_numpy()
    )


def _read(path: str | Path | None, columns: Sequence[str], keys: Sequence[str]) -> pd.DataFrame:
    if path is None:
        return pd.DataFrame(columns=list(columns), dtype=str)
    table = parse_rows(Path(path).read_bytes(), path, numbers={})
    if list(table.columns) != list(columns):
        raise CardiouqError(f"{path}: columns {list(table.columns)}; expected {list(columns)}")
    for column, allowed in ALLOWED.items():
        if column in table:
            _refuse(path, table[~table[column].isin(allowed)], column, f"one of {allowed}")
    twice = table[table.duplicated(list(keys))]
    if len(twice):
        key = ", ".join(f"{name} {twice.iloc[0][name]!r}" for name in keys)
        raise CardiouqError(f"{path}: {key} is given twice; keep one")
    return table


def _refuse(path: str | Path | None, rows: pd.DataFrame, column: str, expected: str) -> None:
    """Raise a CardiouqError on the first of the rows, if there is one."""
    if len(rows):
        # the headings are the file's first line
        raise CardiouqError(
            f"{path}, line {int(rows.index[0]) + 2}: {column} is {rows.iloc[0][column]!r}; "
            f"expected {expected}"
        )
