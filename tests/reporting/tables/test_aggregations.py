"""Aggregations over all methods."""

from itertools import product

import pandas as pd

from cardiouq.evaluation.distortions import POOLED
from cardiouq.reporting.tables.aggregations import MEASURES, make
from cardiouq.reporting.tables.failure_detection import UNCERTAINTIES
from cardiouq.structures import STRUCTURES
from tests.reporting.tables.summaries import METHODS, TEST_SETS, texts

STUDY = {
    part: {name: {"label": label} for name, label in labels.items()}
    for part, labels in (("methods", METHODS), ("test_sets", TEST_SETS))
}


def summary(*test_sets: str) -> pd.DataFrame:
    """The mean entropy has 0.5 everywhere; without the boundary both measures are 0.3 for Vanilla
    and 0.6 for SWA, by all others 0.5."""
    without = {"vanilla": 0.3, "swa": 0.6}
    return pd.DataFrame(
        {"method": m, "test_set": t, "level": "volume", "structure": s, "n_empty": 1}
        | {"metric": metric.format(u)}
        | {"value": without[m] if u == "entropy_without_boundary_bits" else 0.5}
        for m, t, s, u in product(METHODS, test_sets, STRUCTURES, UNCERTAINTIES)
        for metric, _ in MEASURES.values()
    )


def test_means_over_methods_and_how_many_an_aggregation_helps() -> None:
    rows, printed = make({"summary": summary(*TEST_SETS)}, STUDY, "")
    shown = texts(printed)
    n = len(UNCERTAINTIES)
    assert shown[0] == ["AURC", "entropy", ".500", ".500", "12"]
    # lower is better for Vanilla, higher for SWA
    assert shown[1] == ["", "entropy without the boundary", ".450 (1)", ".450 (1)", "12"]
    assert shown[n + 1][2] == ".450 (1)"
    assert shown[n + 2] == ["", "entropy of the foreground", ".500 (0)", ".500 (0)", "12"]
    assert len(shown) == 2 * n
    assert set(rows["n_methods"]) == {2}


def test_distorted_scans_are_one_more_test_set() -> None:
    tables = {"summary": summary(*TEST_SETS), "distorted_summary": summary(POOLED)}
    _, printed = make(tables, STUDY, "")
    assert printed.columns[-2:] == ["All degrees of distortion", "Empty"]
