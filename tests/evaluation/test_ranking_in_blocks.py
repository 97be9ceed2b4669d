"""Rankings of many cases: some resamples at a time, with the numbers of all at once."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from cardiouq.evaluation import statistics
from cardiouq.evaluation.ranking import Ranking
from cardiouq.evaluation.scoring import score_method
from cardiouq.evaluation.statistics import TABLES, compute_statistics
from tests.evaluation.conftest import SETTINGS, study_maker

RESAMPLES = 64
SUBJECTS = "abcdefgh"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """Two methods on eight subjects; some volumes have failed, with and without ties."""
    make = study_maker(tmp_path_factory.mktemp("study"))
    shifts = {
        "fair": {s: [i % 4, i % 4, 2 * (i % 4)] for i, s in enumerate(SUBJECTS)},
        "one": {s: None if i == 0 else [i % 3] for i, s in enumerate(SUBJECTS)},
    }
    found = [score_method(name, *make(name, **of)) for name, of in shifts.items()]
    return {name: pd.concat([of[name] for of in found], ignore_index=True) for name in TABLES}


def compute(tables: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch, most: int) -> Any:
    """The statistics, with so many resamples times cases at once, and how many there were."""
    ranked = []

    class Counted(Ranking):
        def __init__(self, values: Any, weights: Any) -> None:
            super().__init__(values, weights)
            ranked.append(weights.size)

    monkeypatch.setattr(statistics, "Ranking", Counted)
    monkeypatch.setattr(statistics, "MOST_AT_ONCE", most)
    settings = SETTINGS | {"bootstrap": {"resamples": RESAMPLES, "confidence": 0.95}}
    found, _ = compute_statistics(tables, ["fair", "one"], ["id"], settings, seed=1)
    return found, max(ranked)


@pytest.mark.parametrize("most", [1, 700, 16 * RESAMPLES, 48 * RESAMPLES])
def test_numbers_are_those_of_all_resamples_at_once(
    tables: dict[str, pd.DataFrame], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Bit for bit; there are 16 volumes and 48 slices, and by size one resample is left over."""
    at_once, all_of_them = compute(tables, monkeypatch, 10**9)
    in_blocks, largest = compute(tables, monkeypatch, most)
    assert all_of_them == 48 * (1 + RESAMPLES)
    assert largest <= max(most, 48 * statistics.FEWEST_AT_ONCE)
    assert list(in_blocks) == list(at_once)
    for key, statistic in at_once.items():
        np.testing.assert_array_equal(in_blocks[key].values, statistic.values, err_msg=str(key))
