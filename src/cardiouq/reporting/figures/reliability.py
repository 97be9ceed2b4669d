"""Figure of reliability: how often a prediction of a confidence is right."""

import math
import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cardiouq.reporting.rows import looks_of
from cardiouq.reporting.style import (
    DOUBLE_COLUMN,
    add_legend,
    markers,
    use_log_scale,
    use_style,
    words,
)

MOST_COLUMNS = 6
LARGEST_PANEL = 1.8
"""Largest width of a panel, in inches."""
MARGIN = 0.03
"""Of a diagram, so that markers at its ends are whole."""


def reliability_curve(bins: pd.DataFrame, n_bins: int, n_shown: int) -> pd.DataFrame:
    """Merge neighbouring bins of all volumes of one method and test set.

    Args:
        bins: rows of `calibration.csv`; bin s of n_bins holds confidences in ((s-1)/n, s/n].
        n_bins: how many bins there are in `calibration.csv`.
        n_shown: how many to merge them to.

    Returns:
        Columns voxels, confidence and accuracy (means over the voxels), one row per merged bin
        that holds voxels.
    """
    merged = np.ceil(bins["bin"].to_numpy() * min(n_shown, n_bins) / n_bins).astype(int)
    sums = bins[["voxels", "confidence", "correct"]].groupby(merged).sum()
    sums = sums[sums["voxels"] > 0]
    return pd.DataFrame(
        {
            "voxels": sums["voxels"],
            "confidence": sums["confidence"] / sums["voxels"],
            "accuracy": sums["correct"] / sums["voxels"],
        }
    )


def draw_reliability(
    bins: pd.DataFrame,
    ece: pd.DataFrame,
    methods: dict[str, str],
    test_sets: dict[str, str],
    n_bins: int,
    n_shown: int,
    minimum_voxels: int,
) -> Figure:
    """Draw a panel per method: accuracy against confidence per test set, and where voxels are.

    Args:
        bins: rows of `calibration.csv` of all methods.
        ece: rows of Table 2.
        methods, test_sets: key -> printed label, in order.
        n_bins, n_shown: see `reliability_curve`.
        minimum_voxels: merged bins with fewer are not drawn, as their accuracy is chance.
    """
    use_style()
    n_rows = math.ceil(len(methods) / MOST_COLUMNS)
    n_columns = math.ceil(len(methods) / n_rows)
    width = min(LARGEST_PANEL, (DOUBLE_COLUMN - 0.4) / n_columns)
    figure = Figure(figsize=(DOUBLE_COLUMN, n_rows * (width + 0.75) + 0.6), layout="constrained")
    axes = figure.subplots(
        2 * n_rows,
        n_columns,
        sharex=True,
        sharey="row",
        squeeze=False,
        height_ratios=[width, 0.35] * n_rows,
    )
    errors = ece.set_index(["method", "test_set"])["value"]
    grouped = dict(list(bins.groupby(["method", "test_set"])))
    looks = looks_of(test_sets)
    lowest = 1.0
    panels = [panel for row in range(n_rows) for panel in axes[2 * row : 2 * row + 2].T]
    for diagram, counts in panels[len(methods) :]:
        diagram.set_axis_off()
        counts.set_axis_off()
    for number, method in enumerate(methods):
        diagram, counts = panels[number]
        diagram.axline((1, 1), slope=1, color="#BBBBBB", linewidth=0.8, zorder=0)
        for index, (test_set, look) in enumerate(looks.items()):
            curve = reliability_curve(grouped[method, test_set], n_bins, n_shown)
            shown = curve[curve["voxels"] >= minimum_voxels]
            lowest = min(lowest, shown["confidence"].min(), shown["accuracy"].min())
            style = {"color": look.colour, "linewidth": 1, "markersize": 2}
            diagram.plot(shown["confidence"], shown["accuracy"], marker=look.marker, **style)
            counts.plot(curve["confidence"], 100 * curve["voxels"] / curve["voxels"].sum(), **style)
            diagram.text(
                (index + 0.5) / len(test_sets),
                1.02,
                f"{errors[method, test_set]:.2f}",
                transform=diagram.transAxes,
                color=look.colour,
                fontsize=6,
                ha="center",
            )
        diagram.set_title(textwrap.fill(methods[method], 20), fontsize=6.5, pad=11)
        use_log_scale(counts, "y")
        counts.tick_params(labelbottom=True)
        if number % n_columns == 0:
            diagram.set_ylabel("Accuracy")
            counts.set_ylabel("Voxels\n(%)")
        if number // n_columns == n_rows - 1:
            counts.set_xlabel("Confidence")
    square = math.floor(10 * lowest) / 10 - MARGIN, 1 + MARGIN
    for diagram, _ in panels:
        diagram.set(xlim=square, ylim=square, xticks=[0.5, 1], yticks=[0.5, 1])
    of_test_sets = markers({test_sets[name]: look for name, look in looks.items()})
    add_legend(figure, [*of_test_sets, words("Numbers: ECE (%)")])
    return figure
