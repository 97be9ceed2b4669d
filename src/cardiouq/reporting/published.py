"""The papers' numbers, to stand beside ours."""

from pathlib import Path

import pandas as pd

from cardiouq.errors import CardiouqError

COLUMNS = ["paper", "table", "method", "test_set", "metric", "structure", "value", "sd"]


def read_published(path: str | Path) -> pd.DataFrame:
    """Read `config/published/<paper>.csv`.

    Raises:
        CardiouqError: columns are missing, or a number is given twice.
    """
    table = pd.read_csv(path, dtype={"structure": str}, keep_default_na=False, na_values={"sd": ""})
    if list(table.columns) != COLUMNS:
        raise CardiouqError(f"{path}: columns {list(table.columns)}; expected {COLUMNS}")
    twice = table[table.duplicated(["method", "test_set", "metric", "structure"])]
    if len(twice):
        row = twice.iloc[0]
        raise CardiouqError(
            f"{path}: {row['metric']} {row['structure']} of {row['method']} on {row['test_set']} "
            "is given twice; keep one"
        )
    return table


def with_published(
    summary: pd.DataFrame, published: pd.DataFrame, metric: str, paper_test_sets: dict[str, str]
) -> pd.DataFrame:
    """Add the columns `published` and `published_sd` (NaN where the paper has no such number).

    Args:
        summary: rows of one metric with columns method, test_set and structure.
        published: from `read_published`.
        metric: `dice` or `ece_percent`.
        paper_test_sets: our test set -> the paper's test set that it stands beside.
    """
    numbers = published[published["metric"] == metric]
    numbers = numbers.set_index(["method", "test_set", "structure"])[["value", "sd"]].astype(float)
    keys = zip(
        summary["method"],
        summary["test_set"].map(lambda name: paper_test_sets.get(name, "")),
        summary["structure"],
        strict=True,
    )
    beside = numbers.reindex(pd.MultiIndex.from_tuples(list(keys), names=numbers.index.names))
    return summary.assign(
        published=beside["value"].to_numpy(), published_sd=beside["sd"].to_numpy()
    )
