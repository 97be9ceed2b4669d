"""Figure of quality against cost: what a better Dice or ECE takes to train and to predict."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cardiouq.reporting.style import (
    DOUBLE_COLUMN,
    MethodStyle,
    add_legend,
    markers,
    use_log_scale,
    use_style,
)

COSTS = {"passes": "Passes per slice", "training_iterations": "Training iterations"}
QUALITIES = {"dice": ("Dice", 1), "ece_percent": ("ECE (%)", -1)}
"""Column -> label, and 1 where more is better, -1 where less is."""
HOLLOW: dict[str, Any] = {"fillstyle": "none", "markeredgewidth": 0.9}
"""Style of markers, by which those of equal methods are seen through one another."""
FRONT: dict[str, Any] = {"color": "#BBBBBB", "linewidth": 0.8, "zorder": 0}
# heights in inches
ROW = 1.95
LEGEND = 0.7


def draw_quality_cost(
    table: pd.DataFrame,
    methods: Mapping[str, str],
    test_sets: Mapping[str, str],
    styles: Mapping[str, MethodStyle],
) -> Figure:
    """Draw a row per test set, a panel per quality and cost, and in each a marker per method.

    What was trained elsewhere has no marker over iterations, and there is no panel without any.

    The line joins the methods than which no cheaper one is better.

    Args:
        table: rows of `cost.csv`.
        methods: key -> printed label, in order.
        test_sets: key -> printed label, of those to draw.
    """
    use_style()
    size = DOUBLE_COLUMN, ROW * len(test_sets) + LEGEND
    figure = Figure(figsize=size, layout="constrained")
    known = [cost for cost in COSTS if table[cost].notna().any()]
    columns = list(product(QUALITIES, known))
    panels = figure.subplots(len(test_sets), len(columns), squeeze=False, sharex="col")
    for row, (test_set, label) in zip(panels, test_sets.items(), strict=True):
        points = table[table["test_set"] == test_set].set_index("method")
        for axes, (quality, cost) in zip(row, columns, strict=True):
            name, sign = QUALITIES[quality]
            axes.set_ylabel(name)
            _draw_front(axes, points[cost], points[quality], sign)
            for method in methods:
                x, y = points.loc[method, [cost, quality]]
                colour, marker = styles[method]
                axes.plot(x, y, marker, color=colour, **HOLLOW)
        row[0].set_title(label, loc="left")
    for axes, (_, cost) in zip(panels[-1], columns, strict=True):
        axes.set_xlabel(COSTS[cost])
        use_log_scale(axes, "x")
    of_methods = markers({label: styles[m] for m, label in methods.items()}, **HOLLOW)
    add_legend(figure, [*of_methods, Line2D([], [], label="best up to a cost", **FRONT)])
    return figure


def _draw_front(
    axes: Axes, cost: "pd.Series[float]", quality: "pd.Series[float]", sign: int
) -> None:
    """Draw the best quality up to each cost, as steps."""
    best = (sign * quality).groupby(cost).max().cummax()
    axes.step(best.index, sign * best, where="post", **FRONT)
