"""The table of distortions: hand-made slices in, quartiles and counts out."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.cbook import boxplot_stats

from cardiouq.evaluation.distortions import (
    OF_SLICES,
    OF_STRUCTURES,
    POOLED,
    pool_degrees,
    summarise_distortions,
)

TEST_SETS = {
    f"val+{kind}-{place}": {"of": "val", "kind": kind, "place": place, "degree": degree}
    for kind, degrees in {"noise": (0.05, 0.1), "blur": (2.0,)}.items()
    for place, degree in enumerate(degrees, start=1)
}


@pytest.fixture
def scores() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two methods; three subjects, of whom the third was not distorted; four slices each."""
    rng = np.random.default_rng(3)
    rows: list[dict[str, Any]] = []
    for method in ("vanilla", "own"):
        for test_set in ("val", "other", *TEST_SETS):
            for subject in ("a", "b", "c")[: 3 if test_set in ("val", "other") else 2]:
                for index in range(4):
                    where = {"method": method, "test_set": test_set, "subject": subject}
                    numbers = dict(zip(OF_STRUCTURES, rng.gamma(1, 1, 5), strict=True))
                    empty = {"predicted_empty": index == 0, "reference_empty": index < 2}
                    rows.append(where | {"structure": "RV", "slice": index} | numbers | empty)
    structures = pd.DataFrame(rows)
    slices = structures[["method", "test_set", "subject", "slice"]].copy()
    for metric in OF_SLICES:
        slices[metric] = rng.gamma(1, 1, len(slices))
    return structures, slices


def test_every_metric_is_there_at_every_degree_from_0(
    scores: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    table = summarise_distortions(*scores, TEST_SETS)
    assert not table.duplicated(["method", "kind", "place", "structure", "metric"]).any()
    assert len(table) == 2 * (3 + 2) * (len(OF_STRUCTURES) + len(OF_SLICES))
    degrees = table[["kind", "place", "degree"]].drop_duplicates()
    assert set(degrees.itertuples(index=False, name=None)) == {
        ("noise", 0, 0.0),
        ("noise", 1, 0.05),
        ("noise", 2, 0.1),
        ("blur", 0, 0.0),
        ("blur", 1, 2.0),
    }


def test_degree_0_is_of_the_subjects_that_were_distorted(
    scores: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    table = summarise_distortions(*scores, TEST_SETS)
    assert set(table["n_slices"]) == {8}
    assert set(table["n_subjects"]) == {2}
    structures, _ = scores
    original = structures[structures["subject"].isin(["a", "b"])].set_index(["method", "test_set"])
    for kind in ("noise", "blur"):
        row = table[
            (table["method"] == "own")
            & (table["kind"] == kind)
            & (table["place"] == 0)
            & (table["metric"] == "dice")
        ].iloc[0]
        assert row["mean"] == pytest.approx(original.loc[("own", "val"), "dice"].mean())
        assert row["n_empty"] == 4  # slices 0 and 1 of two subjects


def test_pool_has_all_degrees_and_the_undistorted_scans_of_the_same_subjects(
    scores: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    structures, _ = scores
    pool = pool_degrees(structures, TEST_SETS)
    assert set(pool["test_set"]) == {POOLED}
    assert set(pool["subject"]) == {"a", "b"}
    expected = structures[structures["subject"].isin(["a", "b"])]
    expected = expected[expected["test_set"] != "other"]
    assert sorted(pool["dice"]) == sorted(expected["dice"])


def test_boxes_are_matplotlib_s(scores: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table = summarise_distortions(*scores, TEST_SETS)
    structures, slices = scores
    for test_set, settings in TEST_SETS.items():
        for metric, source in (("assd_mm", structures), ("nll_nats", slices)):
            chosen = (source["method"] == "vanilla") & (source["test_set"] == test_set)
            [expected] = boxplot_stats(source.loc[chosen, metric])
            row = table[
                (table["method"] == "vanilla")
                & (table["kind"] == settings["kind"])
                & (table["place"] == settings["place"])
                & (table["metric"] == metric)
            ].iloc[0]
            for ours, theirs in {
                "low": "whislo",
                "q1": "q1",
                "median": "med",
                "q3": "q3",
                "high": "whishi",
                "mean": "mean",
            }.items():
                assert row[ours] == pytest.approx(expected[theirs]), (test_set, metric, ours)
