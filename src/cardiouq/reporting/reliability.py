"""Reliability diagrams: how often a prediction of a confidence is right."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cardiouq.reporting.style import DOUBLE_COLUMN, method_styles, use_style


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
    """Draw a panel per test set: accuracy against confidence, and below it where the voxels are.

    Args:
        bins: rows of `calibration.csv` of all methods.
        ece: rows of Table 2.
        methods, test_sets: key -> printed label, in order.
        n_bins, n_shown: see `reliability_curve`.
        minimum_voxels: merged bins with fewer are not drawn, as their accuracy is chance.
    """
    use_style()
    styles = method_styles(list(methods))
    width = min(DOUBLE_COLUMN, 2.4 * len(test_sets) + 0.3)
    heights = (width / len(test_sets), 0.9, 0.4 + 0.13 * len(methods))  # inches
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    axes = figure.subplots(
        3, len(test_sets), sharex=True, sharey="row", squeeze=False, height_ratios=heights
    )
    errors = ece.set_index(["method", "test_set"])["value"]
    grouped = dict(list(bins.groupby(["method", "test_set"])))
    for column, (test_set, title) in enumerate(test_sets.items()):
        diagram, counts, key = axes[:, column]
        diagram.plot([0, 1], [0, 1], color="#BBBBBB", linewidth=0.8, zorder=0)
        for method in methods:
            curve = reliability_curve(grouped[method, test_set], n_bins, n_shown)
            share = curve["voxels"] / curve["voxels"].sum()
            style = styles[method].options
            shown = curve[curve["voxels"] >= minimum_voxels]
            label = f"{methods[method]} ({errors[method, test_set]:.2f} %)"
            diagram.plot(shown["confidence"], shown["accuracy"], label=label, **style)
            counts.plot(curve["confidence"], share, **(style | {"marker": "none"}))
        diagram.set(title=title, xlim=(0.2, 1.01), ylim=(0, 1.01))
        key.legend(*diagram.get_legend_handles_labels(), title="ECE", loc="upper center")
        key.set_axis_off()
        counts.set(xlabel="Confidence", yscale="log")
        counts.tick_params(labelbottom=True)
    axes[0, 0].set_ylabel("Accuracy")
    axes[1, 0].set_ylabel("Share of voxels")
    return figure
