"""Dots of every number of dataset shift, none of them ruled by structures that are missed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cardiouq.reporting.figures.dataset_shift import CORRELATION, TITLES, draw_dataset_shift
from tests.reporting.figures.drawn import ALL_METHODS, check_saved

TEST_SETS = {"val": "Phantom (ID)", "A": "Vendor A (OOD)"}
DIAGONAL = 300.0
SINGLE = "vanilla"


def draw(within_of: Callable[[str], tuple[float, ...]]) -> Figure:
    """All methods' numbers; `within_of` gives the ASSD_within of a method's four slices."""
    numbers, slices = [], []
    for method in ALL_METHODS:
        for test_set, low in (("val", 0.4), ("A", np.nan)):
            keys = {"method": method, "test_set": test_set}
            interval = {"value": 0.5, "low": low, "high": 0.6}
            for metric in ("dice", CORRELATION, "predictive_entropy_bits"):
                of_all = metric == "predictive_entropy_bits"
                for structure in ("all",) if of_all else ("RV", "MYO", "LV"):
                    row = {"level": "slice", "metric": metric, "structure": structure}
                    numbers.append(keys | row | interval)
            for assd, within in zip((1.0, 2.0, 3.0, DIAGONAL), within_of(method), strict=True):
                row = {"structure": "RV", "assd_mm": assd, "assd_within_mm": within}
                missed = {"reference_empty": False, "predicted_empty": assd == DIAGONAL}
                slices.append(keys | row | missed)
    return draw_dataset_shift(pd.DataFrame(numbers), pd.DataFrame(slices), ALL_METHODS, TEST_SETS)


@pytest.fixture(scope="module")
def figure() -> Figure:
    return draw(lambda method: (0.0 if method == SINGLE else 0.7,) * 4)


def test_every_number_has_a_dot_in_the_row_of_its_method(figure: Figure, tmp_path: Path) -> None:
    expected = dict.fromkeys(TITLES, 0.5) | {"missed": 25.0, "assd_mm": 2.0, "assd_within_mm": 0.7}
    for (name, title), axes in zip(TITLES.items(), figure.axes, strict=True):
        assert axes.get_title(loc="left") == title
        assert len(axes.containers) == len(TEST_SETS)
        for points, *_ in axes.containers:
            rows = np.round(points.get_ydata()).tolist()
            assert rows == list(range(len(ALL_METHODS)))
            values = dict(zip(ALL_METHODS, points.get_xdata(), strict=True))
            if name in ("assd_within_mm", CORRELATION):
                assert np.isnan(values.pop(SINGLE))  # one sample: nothing within
            assert set(values.values()) == {expected[name]}
    check_saved(figure, tmp_path)


def test_samples_that_agree_on_most_slices_are_several_still(tmp_path: Path) -> None:
    """Their median is 0, and has a dot; that of one sample has none."""
    figure = draw(lambda method: (0.0, 0.0, 0.0 if method == SINGLE else 0.7, 0.0))
    axes = figure.axes[list(TITLES).index("assd_within_mm")]
    for points, *_ in axes.containers:
        values = dict(zip(ALL_METHODS, points.get_xdata(), strict=True))
        assert np.isnan(values.pop(SINGLE))
        assert set(values.values()) == {0.0}
    check_saved(figure, tmp_path)


def test_a_method_that_misses_everything_has_no_distance() -> None:
    keys = {"method": SINGLE, "test_set": "val"}
    interval = {"value": 0.0, "low": 0.0, "high": 0.0}
    numbers = [
        keys | interval | {"level": "slice", "metric": metric, "structure": structure}
        for metric in ("dice", CORRELATION, "predictive_entropy_bits")
        for structure in ("all", "RV", "MYO", "LV")
    ]
    distances = {"assd_mm": DIAGONAL, "assd_within_mm": 0.0}
    missed = {"structure": "RV", "reference_empty": False, "predicted_empty": True}
    seen = keys | {"method": "bbb", "structure": "RV", "assd_mm": 1.0, "assd_within_mm": 0.5}
    seen |= {"reference_empty": False, "predicted_empty": False}
    for slices in ([keys | distances | missed], [keys | distances | missed, seen]):
        methods = {SINGLE: "Vanilla", "bbb": "BBB"}
        figure = draw_dataset_shift(pd.DataFrame(numbers), pd.DataFrame(slices), methods, TEST_SETS)
        drawn = dict(zip(TITLES, figure.axes, strict=True))
        of_val, _ = drawn["assd_mm"].containers
        assert np.isnan(of_val[0].get_xdata()[0])
        assert drawn["missed"].containers[0][0].get_xdata()[0] == 100


def test_a_missed_structure_widens_no_distance(figure: Figure) -> None:
    axes = figure.axes[list(TITLES).index("assd_mm")]
    assert axes.get_xlim()[1] < DIAGONAL / 10
