"""Figure of the reliability of single images: their diagrams, gathered to a histogram."""

import math
import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cardiouq.evaluation.calibration import IMAGE_BINS
from cardiouq.reporting.style import DOUBLE_COLUMN, plain_number, use_style

MOST_COLUMNS = 6
PANEL = 1.25
"""Height of a panel with its title, in inches."""
FRAME = 0.3
"""Height of what is below the panels, in inches."""


def gather(bins: pd.DataFrame) -> NDArray[np.float64]:
    """Count in how many images a bin of probability has a frequency, (frequency, probability) bins.

    Args:
        bins: rows of `image_calibration.csv`, each of a structure in an image.
    """
    frequency = bins["correct"] / bins["voxels"]
    # as the bins of probability: closed on the right, and the first holds 0
    row = np.maximum(np.ceil(frequency * IMAGE_BINS).astype(int) - 1, 0)
    counts = np.zeros((IMAGE_BINS, IMAGE_BINS))
    np.add.at(counts, (row, bins["bin"].to_numpy() - 1), 1)
    return counts


def draw_reliability_histogram(
    bins: pd.DataFrame, errors: pd.DataFrame, methods: Mapping[str, str]
) -> Figure:
    """Draw a panel per method: how many images have a frequency where they have a probability.

    Args:
        bins: rows of `image_calibration.csv` of all methods on one test set.
        errors: rows of `summary.csv` of `image_average_ce_percent` there.
        methods: key -> printed label, in order.
    """
    use_style()
    n_rows = math.ceil(len(methods) / MOST_COLUMNS)
    n_columns = math.ceil(len(methods) / n_rows)
    figure = Figure(figsize=(DOUBLE_COLUMN, n_rows * PANEL + FRAME), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.ravel())
    counts = {method: gather(bins[bins["method"] == method]) for method in methods}
    scale = LogNorm(1, max(2, max(of_method.max() for of_method in counts.values())))
    error = errors.set_index("method")["value"]
    for axes, (method, label) in zip(panels, methods.items(), strict=False):
        shown = axes.imshow(
            np.ma.masked_equal(counts[method], 0),
            origin="lower",
            extent=(0, 1, 0, 1),
            cmap="viridis",
            norm=scale,
        )
        axes.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.8)
        axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        axes.set_title(f"{textwrap.fill(label, 18)}\n{error[method]:.1f}", fontsize=6.5)
    for axes in panels[len(methods) :]:
        axes.set_axis_off()
    figure.supxlabel("Probability", fontsize=8)
    figure.supylabel("Frequency", fontsize=8)
    bar = figure.colorbar(shown, ax=panels, label="Structures of images", aspect=40, pad=0.01)
    bar.ax.yaxis.set_major_formatter(plain_number)
    return figure
