"""Figure of dataset shift: accuracy and uncertainty on every test set (Ng et al., 2022)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cardiouq.reporting.rows import add_dots, row_figure
from cardiouq.reporting.style import use_log_scale
from cardiouq.structures import ALL, STRUCTURES

KEYS = ["method", "test_set"]
CORRELATION = "spearman_assd_within_mm_assd_mm"
TITLES = {
    "dice": "Dice",
    "missed": "Missed or\ninvented (%)",
    "assd_mm": "ASSD (mm),\nmedian",
    "assd_within_mm": "ASSD_within\n(mm), median",
    CORRELATION: "Spearman of\nthe two ASSD",
    "predictive_entropy_bits": "Entropy (bits)",
}
"""Panel -> its title."""
OF_SAMPLES = ("assd_within_mm", CORRELATION)
"""Panels that have nothing to show of a method with one sample."""

LOGARITHMIC = ("assd_within_mm", "predictive_entropy_bits")


def draw_dataset_shift(
    summary: pd.DataFrame,
    slice_scores: pd.DataFrame,
    methods: Mapping[str, str],
    test_sets: Mapping[str, str],
) -> Figure:
    """Draw a row per method, a panel per number, and in it a dot per test set.

    Dice, correlation and entropy are means over slices and structures, with the mean interval of
    the structures over subjects (none for a single subject). A structure that only one mask has is
    the image's diagonal away, which would outweigh all other distances in a mean. So the share of
    these has a panel, and distances are of the other slices: their median, with quartiles.

    Args:
        summary: rows of `summary.csv`.
        slice_scores: rows of `slice_scores.csv` of all methods.
        methods, test_sets: key -> printed label, in order.
    """
    numbers = _means(summary) | _of_slices(slice_scores)
    # not of the medians, which are 0 where the samples of most slices agree
    several = slice_scores.loc[slice_scores["assd_within_mm"] > 0, "method"].unique()
    figure, panels = row_figure(methods, test_sets, list(TITLES.values()))
    for axes, name in zip(panels, TITLES, strict=True):
        table = numbers[name]
        if name in OF_SAMPLES:
            table = table[table.index.get_level_values("method").isin(several)]
        add_dots(axes, table, methods, test_sets)
        if name in LOGARITHMIC:
            use_log_scale(axes, "x", table.to_numpy())
    return figure


def _means(summary: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Mean of the structures' numbers and intervals, by method and test set."""
    means = {}
    for metric in ("dice", CORRELATION, "predictive_entropy_bits"):
        rows = summary[(summary["level"] == "slice") & (summary["metric"] == metric)]
        structures = [ALL] if metric == "predictive_entropy_bits" else list(STRUCTURES)
        rows = rows[rows["structure"].isin(structures)]
        means[metric] = rows.groupby(KEYS)[["value", "low", "high"]].mean()
    return means


def _of_slices(slice_scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Share of structures that one mask alone has, quartiles of distances where both have them."""
    rows = slice_scores[slice_scores["structure"].isin(list(STRUCTURES))]
    alone = rows["reference_empty"] != rows["predicted_empty"]
    share = 100 * rows.assign(value=alone).groupby(KEYS)["value"].mean()
    both = rows[~rows["reference_empty"] & ~rows["predicted_empty"]].groupby(KEYS)
    names = {0.25: "low", 0.5: "value", 0.75: "high"}
    quartiles = {
        metric: both[metric]
        .quantile(np.array(list(names)))
        .unstack()
        .rename(columns=names)
        .reindex(columns=list(names.values()))
        for metric in ("assd_mm", "assd_within_mm")
    }
    return {"missed": share.to_frame().assign(low=np.nan, high=np.nan)} | quartiles
