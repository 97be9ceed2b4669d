"""Means and SDs over repeats, by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.evaluation.distortions import OF_SLICES, OF_STRUCTURES
from cardiouq.evaluation.repeats import summarise_repeats
from cardiouq.reporting.tables.repeats import print_repeats

REPEATS = {"vanilla-repeat-2": ("vanilla", 1), "vanilla-repeat-3": ("vanilla", 2)}


@pytest.fixture
def table() -> pd.DataFrame:
    """Three trainings of Vanilla, one of an ensemble; two slices each, on two test sets."""
    structures: list[dict[str, Any]] = []
    slices: list[dict[str, Any]] = []
    for number, method in enumerate(("vanilla", *REPEATS, "deep_ensemble")):
        for test_set in ("val", "val+noise-1"):
            for index in range(2):
                where = {"method": method, "test_set": test_set, "subject": "a", "slice": index}
                for structure in ("RV", "MYO", "LV"):
                    structures.append(
                        where
                        | {"structure": structure, "predicted_empty": index == 0}
                        | {"reference_empty": False}
                        | dict.fromkeys(OF_STRUCTURES, float(number + index))
                    )
                slices.append(where | dict.fromkeys(OF_SLICES, number**2))
    return summarise_repeats(pd.DataFrame(structures), pd.DataFrame(slices), REPEATS, ["val"])


def test_mean_and_sd_are_over_the_means_of_each_repeat(table: pd.DataFrame) -> None:
    assert set(table["test_set"]) == {"val"}
    rows = table.set_index(["method", "structure", "metric"])
    vanilla = rows.loc[("vanilla", "RV", "dice")]
    means = [0.5, 1.5, 2.5]
    assert (vanilla["value"], vanilla["n_repeats"], vanilla["n_empty"]) == (1.5, 3, 3)
    assert vanilla["sd"] == pytest.approx(np.std(means, ddof=1))
    assert rows.loc[("vanilla", "all", "nll_nats"), "value"] == pytest.approx(5 / 3)
    ensemble = rows.loc[("deep_ensemble", "LV", "dice")]
    assert (ensemble["value"], ensemble["n_repeats"]) == (3.5, 1)
    assert np.isnan(ensemble["sd"])
    assert len(table) == 2 * (3 * len(OF_STRUCTURES) + len(OF_SLICES))


def test_table_prints_sds_where_there_are_repeats(table: pd.DataFrame) -> None:
    labels = {"vanilla": "Plain", "deep_ensemble": "Deep Ens."}
    printed = print_repeats(table, labels, {"val": "Validation"}, "A caption.")
    first, second = (row[2].text for row in printed.rows[:2])
    assert first == "1.500 ± 1.000"
    assert second == "3.500"
