"""Means, SDs and ranges over repeats, by hand."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from cardiouq.evaluation.comparison import summarise
from cardiouq.evaluation.repeats import tabulate_repeats
from cardiouq.evaluation.scoring import score_method
from cardiouq.evaluation.statistics import TABLES, compute_statistics
from cardiouq.reporting.tables import repeats as of_slices
from cardiouq.reporting.tables import repeats_volumes as of_volumes
from cardiouq.reporting.tables.spread import KEYS, summarise_repeats
from tests.evaluation.conftest import SETTINGS, study_maker

METHODS = ("vanilla", "deep_ensemble")
REPEATS = {"vanilla-repeat-2": ("vanilla", 1), "vanilla-repeat-3": ("vanilla", 2)}
LABELS = {"vanilla": "Plain", "deep_ensemble": "Deep Ens."}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """Three trainings of Vanilla, each wrong by a column more, and one of an ensemble."""
    make = study_maker(tmp_path_factory.mktemp("study"))
    shifts: dict[str, dict[str, Sequence[int] | None]] = {
        "vanilla": {"a": [0], "b": [1]},
        "vanilla-repeat-2": {"a": [1], "b": [2]},
        "vanilla-repeat-3": {"a": [2], "b": None},
        "deep_ensemble": {"a": [0, 0, 2], "b": [1, 1, 1]},
    }
    found = [score_method(name, *make(name, **shifts[name])) for name in shifts]
    return {name: pd.concat([of[name] for of in found], ignore_index=True) for name in TABLES}


@pytest.fixture(scope="module")
def table(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    members = {"vanilla": "0", "deep_ensemble": "0 1 2"}
    members |= {name: str(repeat) for name, (_, repeat) in REPEATS.items()}
    of_each = tabulate_repeats(tables, METHODS, REPEATS, members, ["id"], SETTINGS)
    return summarise_repeats(of_each)


@pytest.mark.parametrize("level", ["volume", "slice"])
def test_mean_sd_and_range_are_over_the_means_of_each_repeat(
    tables: dict[str, pd.DataFrame], table: pd.DataFrame, level: str
) -> None:
    scores = tables["scores" if level == "volume" else "slice_scores"]
    of_rv = scores[scores["structure"] == "RV"].groupby("method")["dice"].mean()
    means = of_rv[["vanilla", *REPEATS]]
    rows = table[(table["level"] == level) & (table["metric"] == "dice")]
    row = rows.set_index(["method", "structure"]).loc[("vanilla", "RV")]
    assert row["n_repeats"] == 3
    assert row["value"] == pytest.approx(means.mean())
    assert row["sd"] == pytest.approx(means.std(ddof=1))
    assert (row["least"], row["greatest"]) == (means.min(), means.max())
    # two volumes of one training hold no prediction; slices: two more of each volume are empty in
    # the reference and in the prediction
    assert row["n_empty"] == {"volume": 2, "slice": 4 + 3 * 4}[level]


def test_of_a_single_training_there_are_its_numbers_alone(
    tables: dict[str, pd.DataFrame], table: pd.DataFrame
) -> None:
    statistics, _ = compute_statistics(tables, METHODS, ["id"], SETTINGS, seed=1)
    summary = summarise(statistics, 0.95).set_index(KEYS).loc["deep_ensemble"]
    rows = table.set_index(KEYS).loc["deep_ensemble"]
    pd.testing.assert_series_equal(rows["value"], summary["value"])  # ECE and AUROC among them
    assert (rows["n_repeats"] == 1).all()
    assert rows[["sd", "least", "greatest"]].isna().all(axis=None)


def test_tables_print_the_spread_where_there_are_repeats(table: pd.DataFrame) -> None:
    shown = LABELS, {"id": "Validation"}, "A caption."
    printed = of_slices.print_repeats(table.query("level == 'slice'"), *shown)
    first, second = (row[2].text for row in printed.rows[:2])
    assert "±" in first and "±" not in second
    printed = of_volumes.print_repeats(table.query("level == 'volume'"), *shown)
    ece = printed.columns.index("ECE (%)")
    value, least, greatest = (
        table.query("method == 'vanilla' and level == 'volume' and metric == 'ece_percent'")
        .iloc[0][["value", "least", "greatest"]]
        .astype(float)
    )
    assert printed.rows[0][1].text == "3"
    assert printed.rows[0][ece].text == f"{value:.2f} [{least:.2f}, {greatest:.2f}]"
    assert least < value < greatest
    assert [row[1].text for row in printed.rows] == ["3", "1"]
    assert np.isfinite(float(printed.rows[1][ece].text))
