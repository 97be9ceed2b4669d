"""Figure of conformal intervals: how many hold the reference, and how wide they are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cardiouq.evaluation.conformal import DICE, MARGIN, SPREAD
from cardiouq.reporting.rows import add_dots, row_figure
from cardiouq.structures import ALL, FOREGROUND

NOMINAL = 0.90
"""Nominal coverage of the intervals that are shown."""
KEYS = ["method", "test_set"]
LINE: dict[str, Any] = {"color": "0.5", "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 0}
"""Style of the line of the nominal coverage."""
WIDTHS = {
    "LVEF": "LVEF (%)",
    "LVEDV": "LVEDV (ml)",
    "RVEDV": "RVEDV (ml)",
    "LVM": "LVM (g)",
    f"{DICE} {FOREGROUND}": "Dice",
    f"{MARGIN} {FOREGROUND}": "Margin (mm)",
}
"""Quantity -> title of the panel of its width; Dice and margin are of the whole foreground."""


def draw_coverage(
    table: pd.DataFrame, methods: Mapping[str, str], test_sets: Mapping[str, str]
) -> Figure:
    """Draw a row per method, a panel for the coverage and one for each quantity's width.

    The coverage is the mean of all intervals with its binomial interval, its line the nominal one.
    A width that is infinite, as there are too few subjects, has no dot.

    Args:
        table: rows of `conformal.csv`.
        methods, test_sets: key -> printed label, in order.
    """
    rows = table[(table["by"] == SPREAD) & np.isclose(table["nominal"], NOMINAL)]
    of_quantity = {str(quantity): part for quantity, part in rows.groupby("quantity")}
    widths = [quantity for quantity in WIDTHS if quantity in of_quantity]
    titles = ["Coverage (%)", *(WIDTHS[quantity] for quantity in widths)]
    figure, panels = row_figure(methods, test_sets, titles, [nominal_line()])
    add_coverage(panels[0], of_quantity[ALL], methods, test_sets)
    for axes, quantity in zip(panels[1:], widths, strict=True):
        part = of_quantity[quantity].set_index(KEYS)
        shown = part[["width"]].set_axis(["value"], axis=1).replace(np.inf, np.nan)
        add_dots(axes, shown.assign(low=np.nan, high=np.nan), methods, test_sets)
        axes.set_xlim(left=min(0, axes.get_xlim()[0]))
    return figure


def nominal_line() -> Line2D:
    """The nominal coverage's line, for a legend."""
    return Line2D([], [], label=f"nominal, {NOMINAL:.0%}", **LINE)


def add_coverage(
    axes: Axes, rows: pd.DataFrame, methods: Mapping[str, str], test_sets: Mapping[str, str]
) -> None:
    """Draw the coverage in % with its binomial interval, and the line of the nominal one.

    Args:
        rows: of `conformal.csv`, one per method and test set.
    """
    shown = 100 * rows.set_index(KEYS)[["coverage", "low", "high"]]
    axes.axvline(100 * NOMINAL, **LINE)
    add_dots(axes, shown.rename(columns={"coverage": "value"}), methods, test_sets)
    axes.set_xlim(-4, 104)  # panels side by side have one scale
