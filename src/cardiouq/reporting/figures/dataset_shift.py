"""Figure of dataset shift: accuracy and uncertainty on every test set (Ng et al., 2022)."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cardiouq.reporting.style import DOUBLE_COLUMN, MethodStyle, add_method_legend, use_style
from cardiouq.structures import ALL, STRUCTURES

# heights in inches
ROW = 1.25
LEGEND = 0.75
GROUP = 0.85
"""Width of all bars of one test set; the test sets are 1 apart."""


class Bars(NamedTuple):
    """One row of panels: a metric per slice, and its label."""

    metric: str
    label: str
    of_structures: bool = True


BARS = (
    Bars("dice", "Dice"),
    Bars("assd_mm", "ASSD (mm)"),
    Bars("assd_within_mm", "ASSD_within (mm)"),
    Bars("spearman_assd_within_mm_assd_mm", "Spearman: ASSD_within, ASSD"),
    Bars("predictive_entropy_bits", "Entropy (bits)", of_structures=False),
)


def draw_dataset_shift(
    summary: pd.DataFrame,
    methods: Mapping[str, str],
    test_sets: Mapping[str, str],
    styles: Mapping[str, MethodStyle],
) -> Figure:
    """Draw a row per metric, a group of bars per test set, a bar per method.

    Numbers are means over slices and structures, their whiskers the mean interval of the structures
    over subjects (none for a single subject).

    Args:
        summary: rows of `summary.csv`.
        methods, test_sets: key -> printed label, in order.
    """
    use_style()
    figure = Figure(figsize=(DOUBLE_COLUMN, ROW * len(BARS) + LEGEND), layout="constrained")
    axes = figure.subplots(len(BARS), 1, sharex=True)
    slices = summary[summary["level"] == "slice"]
    width = GROUP / len(methods)
    for axis, bars in zip(axes, BARS, strict=True):
        structures = STRUCTURES if bars.of_structures else [ALL]
        rows = slices[(slices["metric"] == bars.metric) & slices["structure"].isin(structures)]
        means = rows.groupby(["method", "test_set"])[["value", "low", "high"]].mean()
        for index, (method, style) in enumerate(styles.items()):
            of_method = means.loc[method].loc[list(test_sets)]
            axis.bar(
                np.arange(len(test_sets)) + (index - (len(methods) - 1) / 2) * width,
                of_method["value"],
                width=0.9 * width,
                color=style.colour,
                yerr=np.abs(of_method[["low", "high"]].T - of_method["value"]),
                error_kw={"elinewidth": 0.5, "ecolor": "0.45"},
            )
        axis.set_ylabel(bars.label.replace(": ", ":\n"), fontsize=7)
        axis.axhline(0, color="black", linewidth=0.6)
    axes[-1].set_xticks(np.arange(len(test_sets)), list(test_sets.values()))
    add_method_legend(figure, methods, styles)
    return figure
