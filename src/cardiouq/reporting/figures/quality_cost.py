"""Figure of quality against cost: what a better Dice or ECE takes to train and to predict."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from cardiouq.reporting.style import DOUBLE_COLUMN, MethodStyle, use_style

COSTS = {
    "prediction_seconds_per_slice": "Prediction (s per slice)",
    "training_iterations": "Training (iterations)",
}
QUALITIES = {"dice": "Dice", "ece_percent": "ECE (%)"}
LABEL_SIZE = 5.5
"""Size of a label, in points."""
LINE = 1.2 * LABEL_SIZE / 72
"""Height of a label, in inches."""
# space for labels beside a panel, left of and below the panels, between and above them, in inches
LABEL_WIDTH = 1.0
MARGIN = 0.6
GAP = 0.65
TOP = 0.25


def draw_quality_cost(
    table: pd.DataFrame,
    methods: Mapping[str, str],
    test_sets: Mapping[str, str],
    styles: Mapping[str, MethodStyle],
) -> Figure:
    """Draw a row per test set and quality, a column per cost, and in each a marker per method.

    Args:
        table: rows of `cost.csv`.
        methods: key -> printed label, in order.
        test_sets: key -> printed label, of those to draw.
    """
    use_style()
    rows = [(test_set, quality) for test_set in test_sets for quality in QUALITIES]
    panel = max(1.3, LINE * (len(methods) + 1))
    width = (DOUBLE_COLUMN - MARGIN - GAP) / len(COSTS) - LABEL_WIDTH
    height = MARGIN + len(rows) * (panel + GAP) - GAP + TOP
    figure = Figure(figsize=(DOUBLE_COLUMN, height))
    axes = figure.subplots(len(rows), len(COSTS), squeeze=False)
    # by hand, as no layout of matplotlib's keeps a place for labels beside panels
    figure.subplots_adjust(
        left=MARGIN / DOUBLE_COLUMN,
        right=1 - LABEL_WIDTH / DOUBLE_COLUMN,
        bottom=MARGIN / height,
        top=1 - TOP / height,
        wspace=(LABEL_WIDTH + GAP) / width,
        hspace=GAP / panel,
    )
    for row, (test_set, quality) in zip(axes, rows, strict=True):
        points = table[table["test_set"] == test_set].set_index("method")
        for axis, cost in zip(row, COSTS, strict=True):
            axis.set(xscale="log", xlabel=COSTS[cost], ylabel=QUALITIES[quality])
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter("{x:,.10g}")
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set_title(test_sets[test_set], loc="left")
            for method, style in styles.items():
                axis.scatter(
                    points.loc[method, cost],
                    points.loc[method, quality],
                    s=16,
                    color=style.colour,
                    marker=style.marker,
                    linewidths=0.9 if style.marker in "x+" else 0,
                    zorder=2,
                )
            _label(axis, points[[cost, quality]], methods, styles, LINE / panel)
    return figure


def _label(
    axis: Axes,
    points: pd.DataFrame,
    methods: Mapping[str, str],
    styles: Mapping[str, MethodStyle],
    spacing: float,
) -> None:
    """Name the points beside the panel, in their order from bottom to top, with a line to each.

    Args:
        axis: whose points are drawn.
        points: x and y, indexed by method.
        methods: key -> printed label.
        spacing: from label to label, as a share of the panel's height.
    """
    low, high = axis.get_ylim()
    ordered = points.loc[list(methods)].sort_values(list(points.columns[::-1]), kind="stable")
    heights = (ordered.iloc[:, 1].to_numpy() - low) / (high - low)
    for (method, point), height in zip(
        ordered.iterrows(), space_apart(heights, spacing), strict=True
    ):
        axis.annotate(
            methods[str(method)],
            xy=(point.iloc[0], point.iloc[1]),
            xytext=(1.05, height),
            textcoords="axes fraction",
            fontsize=LABEL_SIZE,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "linewidth": 0.4,
                "color": styles[str(method)].colour,
                "alpha": 0.6,
                "shrinkA": 0,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )


def space_apart(heights: NDArray[np.float64], spacing: float) -> NDArray[np.float64]:
    """Move ascending heights in [0, 1] at least `spacing` apart, by the least squares of moves."""
    steps = spacing * np.arange(len(heights))
    moved = isotonic_regression(heights - steps).x.clip(0, 1 - steps[-1])
    return np.asarray(moved + steps)
