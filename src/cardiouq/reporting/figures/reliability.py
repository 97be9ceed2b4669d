"""Figure of reliability: how often a prediction of a confidence is right."""

import itertools
import math
import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cardiouq.reporting.style import DOUBLE_COLUMN, sequence_colours, use_style

MOST_COLUMNS = 6
LARGEST_PANEL = 1.8
"""Largest width of a panel, in inches."""
MARKERS = "os^D"
"""Markers of test sets, in turn."""


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
        2 * n_rows, n_columns, sharex=True, squeeze=False, height_ratios=[width, 0.35] * n_rows
    )
    errors = ece.set_index(["method", "test_set"])["value"]
    grouped = dict(list(bins.groupby(["method", "test_set"])))
    colours = sequence_colours(len(test_sets))
    panels = [panel for row in range(n_rows) for panel in axes[2 * row : 2 * row + 2].T]
    for diagram, counts in panels[len(methods) :]:
        diagram.set_axis_off()
        counts.set_axis_off()
    for number, method in enumerate(methods):
        diagram, counts = panels[number]
        diagram.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.8, zorder=0)
        for index, (test_set, colour) in enumerate(zip(test_sets, colours, strict=True)):
            curve = reliability_curve(grouped[method, test_set], n_bins, n_shown)
            shown = curve[curve["voxels"] >= minimum_voxels]
            style = {"color": colour, "linewidth": 1, "markersize": 2}
            marker = MARKERS[index % len(MARKERS)]
            diagram.plot(shown["confidence"], shown["accuracy"], marker=marker, **style)
            counts.plot(curve["confidence"], curve["voxels"] / curve["voxels"].sum(), **style)
            diagram.text(
                (index + 0.5) / len(test_sets),
                1.02,
                f"{errors[method, test_set]:.2f}",
                transform=diagram.transAxes,
                color=colour,
                fontsize=6,
                ha="center",
            )
        diagram.set(xlim=(0.2, 1.01), ylim=(0, 1.01), yticks=[0, 0.5, 1])
        diagram.set_title(textwrap.fill(methods[method], 24), fontsize=6.5, pad=11)
        counts.set(yscale="log", ylim=(1e-6, 2), yticks=[1e-5, 1])
        counts.minorticks_off()
        counts.tick_params(labelbottom=True)
        if number % n_columns == 0:
            diagram.set_ylabel("Accuracy")
            counts.set_ylabel("Share")
        else:
            diagram.tick_params(labelleft=False)
            counts.tick_params(labelleft=False)
        if number // n_columns == n_rows - 1:
            counts.set_xlabel("Confidence")
    figure.legend(
        handles=[
            Line2D([], [], color=colour, marker=marker, markersize=3, label=label)
            for label, colour, marker in zip(
                test_sets.values(), colours, itertools.cycle(MARKERS), strict=False
            )
        ],
        loc="outside lower center",
        ncols=len(test_sets),
    )
    return figure
