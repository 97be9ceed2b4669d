"""Figure of quality control per slice: what is left poor against what is flagged."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from cardiouq.evaluation.quality_control import ASSD_WITHIN, ORACLE, RANDOM, SLICE_POSITION
from cardiouq.reporting.style import DOUBLE_COLUMN, MethodStyle, use_style
from cardiouq.structures import STRUCTURES

Floats = NDArray[np.float64]

# heights in inches
PANEL = 2.2
LEGEND = 1.2
BASELINES: dict[str, tuple[str, dict[str, Any]]] = {
    RANDOM: ("Random", {"color": "#6A6A6A", "linestyle": (0, (5, 2)), "linewidth": 1.5}),
    SLICE_POSITION: (
        "Slice position",
        {"color": "#6A6A6A", "linestyle": (0, (1, 1)), "linewidth": 1.5},
    ),
    ORACLE: ("Oracle", {"color": "#000000", "linestyle": (0, (4, 1, 1, 1)), "linewidth": 0.7}),
}
"""Baseline -> label and line style."""
LIMIT: dict[str, Any] = {"color": "#000000", "linewidth": 0.5}
"""Style of the line of the share that may be left poor."""


def draw_quality_control(
    curves: pd.DataFrame,
    methods: Mapping[str, str],
    test_sets: Mapping[str, str],
    styles: Mapping[str, MethodStyle],
    remaining: float,
) -> Figure:
    """Draw a row per test set, a column per structure: slices left poor against slices flagged.

    The marker of a method's line is where few enough are left. The baselines depend on the method's
    segmentations, so they are drawn of one alone, the first.

    The baselines depend on the method's segmentations, so they are drawn of one alone, the first.

    Args:
        curves: rows of `quality_control_curves.csv`.
        methods: key -> printed label, in order.
        test_sets: key -> printed label, of those to draw.
        remaining: share of all slices that may be left poor.
    """
    use_style()
    size = (DOUBLE_COLUMN, len(test_sets) * PANEL + LEGEND)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(
        len(test_sets), len(STRUCTURES), sharex=True, sharey="row", squeeze=False
    )
    parts = {
        key: (part["flagged_percent"].to_numpy(), part["poor_left_percent"].to_numpy())
        for key, part in curves.groupby(["test_set", "structure", "by", "method"])
    }
    first, *_ = methods
    for row, (test_set, label) in zip(axes, test_sets.items(), strict=True):
        for axis, structure in zip(row, STRUCTURES, strict=True):
            axis.axhline(100 * remaining, **LIMIT)
            for method, style in styles.items():
                flagged, left = parts[test_set, structure, ASSD_WITHIN, method]
                axis.plot(flagged, left, color=style.colour, linewidth=0.9)
                axis.plot(*crossing(flagged, left, 100 * remaining), **_marker(style), zorder=4)
            for by, (_, line) in BASELINES.items():
                axis.plot(*parts[test_set, structure, by, first], **line, zorder=3)
            axis.set(xlim=(0, 100), ylim=(0, None))
            axis.set_title(f"{label}, {structure}", loc="left")
        row[0].set_ylabel("Poor slices left (%)")
    for axis in axes[-1]:
        axis.set_xlabel("Slices flagged (%)")
    figure.legend(
        handles=[
            *(
                Line2D([], [], label=label, linewidth=0.9, **_marker(styles[method]))
                for method, label in methods.items()
            ),
            *(
                Line2D([], [], label=f"{label} ({methods[first]})", **line)
                for label, line in BASELINES.values()
            ),
            Line2D([], [], label=f"{100 * remaining:g} % left", **LIMIT),
        ],
        loc="outside lower center",
        ncols=5,
    )
    return figure


def crossing(flagged: Floats, left: Floats, remaining: float) -> tuple[float, float]:
    """Point where a falling curve (points,) comes down to `remaining`, or its start if lower."""
    step = int(np.argmax(left <= remaining))
    if step == 0:
        return float(flagged[0]), float(left[0])
    ends = [step, step - 1]
    return float(np.interp(remaining, left[ends], flagged[ends])), remaining


def _marker(style: MethodStyle) -> dict[str, Any]:
    edge = 0.9 if style.marker in "x+" else 0
    return {"color": style.colour, "marker": style.marker, "markeredgewidth": edge}
