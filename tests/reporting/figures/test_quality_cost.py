"""Quality against cost: a marker of every method in every panel, and the best up to a cost."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from cardiouq.reporting.figures.quality_cost import draw_quality_cost
from cardiouq.reporting.style import MethodStyle
from tests.reporting.figures.drawn import ALL_METHODS, Styles, check_saved

TEST_SETS = {"val": "Phantom (ID)", "A": "Vendor A (OOD)"}


def test_every_method_has_a_marker_in_every_panel(styles: Styles, tmp_path: Path) -> None:
    costs = {"passes": np.arange(len(ALL_METHODS)) % 5 + 1, "training_iterations": 1000}
    table = pd.concat(
        pd.DataFrame({"method": list(ALL_METHODS), "test_set": test_set}).assign(
            dice=np.linspace(0.80, 0.81, len(ALL_METHODS)), ece_percent=2.0, **costs
        )
        for test_set in TEST_SETS
    )
    figure = draw_quality_cost(table, ALL_METHODS, TEST_SETS, styles)
    expected = [(to_hex(style.colour), style.marker) for style in styles.values()]
    assert len(figure.axes) == 8
    for axes in figure.axes:
        drawn = [line for line in axes.lines if line.get_marker() != "None"]
        assert [(to_hex(line.get_color()), line.get_marker()) for line in drawn] == expected
    check_saved(figure, tmp_path)


def test_points_and_the_best_up_to_a_cost_are_where_the_table_says() -> None:
    methods = {"vanilla": "Vanilla", "own": "Own", "dear": "Dear"}
    table = pd.DataFrame(
        {
            "method": ["own", "vanilla", "dear"],
            "test_set": "val",
            "dice": [0.8, 0.7, 0.75],
            "ece_percent": [1.0, 2.0, 0.5],
            "passes": [5, 1, 9],
            "training_iterations": [3000, 1000, 3000],
        }
    )
    styles = {
        "vanilla": MethodStyle("#000000", "o"),
        "own": MethodStyle("#FFCCB2", "^"),
        "dear": MethodStyle("#123456", "x"),
    }
    figure = draw_quality_cost(table, methods, {"val": "ID"}, styles)
    dice, _, ece, _ = figure.axes
    assert (dice.get_xscale(), dice.get_xlabel()) == ("log", "Passes per slice")
    front, *points = dice.lines
    assert [tuple(point.get_xydata()[0]) for point in points] == [(1, 0.7), (5, 0.8), (9, 0.75)]
    assert front.get_ydata().tolist() == [0.7, 0.8, 0.8]
    assert ece.lines[0].get_ydata().tolist() == [2.0, 1.0, 0.5]


def test_without_any_training_there_is_no_panel_of_iterations() -> None:
    table = pd.DataFrame({"method": ["a", "b"], "test_set": "val", "dice": 0.8, "ece_percent": 1.0})
    table = table.assign(passes=[1, 8], training_iterations=[np.nan, 100])
    methods, styles = {"a": "A", "b": "B"}, dict.fromkeys("ab", MethodStyle("#000000", "o"))
    figure = draw_quality_cost(table, methods, {"val": "ID"}, styles)
    assert len(figure.axes) == 4
    table["training_iterations"] = np.nan
    figure = draw_quality_cost(table, methods, {"val": "ID"}, styles)
    assert [axes.get_xlabel() for axes in figure.axes] == ["Passes per slice"] * 2
