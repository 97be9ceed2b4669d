"""Figures with a row per method: its name at the left, in each panel a dot per test set."""

from collections.abc import Collection, Mapping, Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cardiouq.reporting.style import (
    DOUBLE_COLUMN,
    MethodStyle,
    add_legend,
    markers,
    sequence_colours,
    use_style,
)

MARKERS = "os^DvP"
"""Markers of test sets, in turn."""
LINE = 0.075
"""Height of a test set's line in a row, in inches."""
TALLEST = 8.3
"""Height of all rows at most, in inches."""
FRAME = 0.95
"""Height of what is above and below the rows, in inches."""


def looks_of(test_sets: Collection[str]) -> dict[str, MethodStyle]:
    """Colour and marker of every test set, by its key, in order."""
    colours = sequence_colours(len(test_sets))
    return dict(zip(test_sets, map(MethodStyle, colours, cycle(MARKERS)), strict=False))


def row_figure(
    methods: Mapping[str, str],
    test_sets: Mapping[str, str],
    titles: Sequence[str],
    handles: Sequence[Artist] = (),
    looks: Mapping[str, MethodStyle] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Make a figure with a row per method and a panel per title.

    Its legend is of the test sets, and of the other handles that are given.

    Args:
        looks: of the test sets, where others have a place in their order; None: `looks_of` them.
    """
    use_style()
    height = min(LINE * (len(test_sets) + 1) * len(methods), TALLEST) + FRAME
    figure = Figure(figsize=(DOUBLE_COLUMN, height), layout="constrained")
    panels: list[Axes] = list(figure.subplots(1, len(titles), sharey=True, squeeze=False)[0])
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left", fontsize=7)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        for edge in range(1, len(methods)):
            axes.axhline(edge - 0.5, color="#E6E6E6", linewidth=0.5, zorder=0)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(methods)), list(methods.values()))
    panels[0].set_ylim(len(methods) - 0.5, -0.5)
    looks = looks or looks_of(test_sets)
    of_test_sets = markers({label: looks[name] for name, label in test_sets.items()})
    add_legend(figure, [*of_test_sets, *handles])
    return figure, panels


def row_heights(n_methods: int, index: int, n_test_sets: int) -> NDArray[np.float64]:
    """Where the dots of the test set of an index stand in the rows, (methods,)."""
    return np.arange(n_methods, dtype=np.float64) + (index + 1) / (n_test_sets + 1) - 0.5


def add_dots(
    axes: Axes,
    numbers: pd.DataFrame,
    methods: Mapping[str, str],
    test_sets: Mapping[str, str],
    looks: Mapping[str, MethodStyle] | None = None,
) -> None:
    """Draw the dots of all test sets, each with its interval.

    Args:
        numbers: rows of (method, test_set) with value, low and high; what has no row has no dot.
        looks: as of `row_figure`.
    """
    looks = looks or looks_of(test_sets)
    for index, name in enumerate(test_sets):
        shown = numbers.reindex(pd.MultiIndex.from_product([list(methods), [name]]))
        axes.errorbar(
            shown["value"],
            row_heights(len(methods), index, len(test_sets)),
            xerr=np.abs(shown[["low", "high"]].T - shown["value"]),
            fmt=looks[name].marker,
            color=looks[name].colour,
            markersize=2.8,
            elinewidth=0.7,
        )
