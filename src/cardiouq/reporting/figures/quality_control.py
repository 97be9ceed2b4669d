"""Figure of quality control per slice: how many slices to flag until few enough are left poor."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cardiouq.evaluation.quality_control import ORACLE, RANDOM, SLICE_POSITION
from cardiouq.reporting.rows import add_dots, row_figure, row_heights
from cardiouq.reporting.style import MethodStyle
from cardiouq.structures import STRUCTURES

FLAGGED = "flagged_percent_assd_within_mm"
BAR: dict[str, Any] = {"color": "#BDBDBD", "linewidth": 2.5}
STROKE: dict[str, Any] = {"color": "black", "marker": "|", "linestyle": "none", "markersize": 4}


def draw_quality_control(
    summary: pd.DataFrame,
    reviewed: pd.DataFrame,
    methods: Mapping[str, str],
    test_sets: Mapping[str, str],
    looks: Mapping[str, MethodStyle],
) -> Figure:
    """Draw a row per method, a panel per structure: the share of slices that has to be flagged.

    A dot is of flagging by ASSD_within, with its interval over subjects. The grey bar beside it
    goes from the oracle's share to that of random review, its stroke is slice position's. All of
    these depend on the method's segmentations, so that each method has its own.

    Args:
        summary: rows of `summary.csv`.
        reviewed: rows of `quality_control.csv`.
        methods: key -> printed label, in order.
        test_sets: key -> printed label, of those to draw.
        looks: of all test sets, so that each looks as in the other figures.
    """
    baselines = [
        Line2D([], [], label="oracle to random", **BAR),
        Line2D([], [], label="slice position", **STROKE),
    ]
    figure, panels = row_figure(methods, test_sets, STRUCTURES, baselines, looks)
    keys = ["method", "test_set"]
    slices = summary[(summary["level"] == "slice") & (summary["metric"] == FLAGGED)]
    for axes in panels[1:]:
        axes.sharex(panels[0])
    for axes, structure in zip(panels, STRUCTURES, strict=True):
        flagged = reviewed[reviewed["structure"] == structure].pivot(
            index=keys, columns="by", values="flagged_percent"
        )
        for index, name in enumerate(test_sets):
            heights = row_heights(len(methods), index, len(test_sets))
            of_set = flagged.xs(name, level="test_set").loc[list(methods)]
            axes.hlines(heights, of_set[ORACLE], of_set[RANDOM], **BAR)
            axes.plot(of_set[SLICE_POSITION], heights, **STROKE)
        of_structure = slices[slices["structure"] == structure].set_index(keys)
        add_dots(axes, of_structure, methods, test_sets, looks)
        axes.set_xlabel("Slices flagged (%)")
    return figure
