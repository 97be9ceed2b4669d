"""Coverage and width of every method's conformal intervals, and coverage as scans are distorted."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cardiouq.evaluation.conformal import LEVELS
from cardiouq.reporting.figures.coverage import WIDTHS, draw_coverage
from cardiouq.reporting.figures.coverage_distorted import draw_coverage_distorted
from cardiouq.structures import ALL
from tests.reporting.figures.drawn import ALL_METHODS, DISTORTED, TEST_SETS, check_saved

ENDLESS = "ssn"
"""The method without enough subjects."""


@pytest.fixture(scope="module")
def coverage() -> pd.DataFrame:
    """In domain all hold what they promise, elsewhere less."""
    rng = np.random.default_rng(3)
    rows = []
    for method, test_set, quantity, level in product(
        ALL_METHODS, (*TEST_SETS, *DISTORTED), (*WIDTHS, ALL), LEVELS
    ):
        row = {"method": method, "test_set": test_set, "quantity": quantity, "nominal": level}
        row |= {"coverage": level if test_set == "val" else rng.uniform(0, level)}
        row |= {"low": max(row["coverage"] - 0.1, 0), "high": row["coverage"] + 0.02}
        row |= {"width": np.inf if method == ENDLESS else rng.gamma(3, 9)}
        rows += [row | {"by": "spread"}, row | {"by": "nothing", "width": 1e6, "coverage": 0}]
    return pd.DataFrame(rows)


def dots(figure: Figure, panel: int, coverage: pd.DataFrame, column: str, **chosen: str) -> None:
    """Check that a panel's dots are what a column has at 90 % of the chosen rows."""
    at_level = coverage[(coverage["by"] == "spread") & np.isclose(coverage["nominal"], 0.9)]
    at_level = at_level[at_level["quantity"] == chosen["quantity"]]
    rows = at_level[at_level["test_set"] == chosen["test_set"]].set_index("method")
    container = figure.axes[panel].containers[int(chosen["container"])]
    expected = rows.loc[list(ALL_METHODS), column].replace(np.inf, np.nan).to_numpy(float)
    np.testing.assert_allclose(np.asarray(container[0].get_xdata(), float), expected)


def test_coverage_and_each_width_have_a_panel_with_a_dot_per_test_set(
    coverage: pd.DataFrame, tmp_path: Path
) -> None:
    percent = coverage.assign(coverage=100 * coverage["coverage"])
    figure = draw_coverage(coverage, ALL_METHODS, TEST_SETS)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Coverage (%)", *WIDTHS.values()]
    for number, test_set in enumerate(TEST_SETS):
        where = {"test_set": test_set, "container": str(number)}
        dots(figure, 0, percent, "coverage", quantity=ALL, **where)
        for panel, quantity in enumerate(WIDTHS, start=1):
            dots(figure, panel, coverage, "width", quantity=quantity, **where)
    [*_, (bars,)] = figure.axes[0].containers[0]
    ends = np.array([[x for x, _ in bar] for bar in bars.get_segments()])
    np.testing.assert_allclose(ends, [[80, 92]] * len(ALL_METHODS))
    assert any(list(line.get_xdata()) == [90, 90] for line in figure.axes[0].lines)
    check_saved(figure, tmp_path)


def test_distorted_scans_have_a_dot_per_degree_from_none_on(
    coverage: pd.DataFrame, tmp_path: Path
) -> None:
    percent = coverage.assign(coverage=100 * coverage["coverage"])
    figure = draw_coverage_distorted(coverage, ALL_METHODS, DISTORTED)
    [axes] = figure.axes
    assert axes.get_title(loc="left") == "Noise"
    for number, test_set in enumerate(("val", *DISTORTED)):
        where = {"test_set": test_set, "container": str(number)}
        dots(figure, 0, percent, "coverage", quantity=ALL, **where)
    check_saved(figure, tmp_path)


def test_quantities_that_a_study_lacks_have_no_panel(coverage: pd.DataFrame) -> None:
    of_structures = coverage[~coverage["quantity"].str.contains("LV|RV")]
    figure = draw_coverage(of_structures, ALL_METHODS, TEST_SETS)
    assert len(figure.axes) == 3
