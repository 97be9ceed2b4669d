"""Figure of one slice at every degree of every kind of distortion (Ng et al., 2022)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cardiouq.reporting.figures.distortion_boxes import kind_label
from cardiouq.reporting.slices import (
    Window,
    add_structure_legend,
    dense_layout,
    load_scan,
    name_panel,
)
from cardiouq.reporting.style import DOUBLE_COLUMN, use_style
from cardiouq.structures import FOREGROUND, mask_of

LEGEND = 0.3
"""Height of the legend, in inches."""
MARGIN = 40.0
"""Margin of what is shown around the heart, in mm."""


def choose_example(distorted: pd.DataFrame) -> str:
    """Choose the case, of those that were distorted, that the figures show: the first by name.

    Args:
        distorted: rows of the distorted scans' case table, named `<case>+<kind>-<place>`.
    """
    return str(distorted["case"].str.partition("+")[0].min())


def largest_slice(reference: np.ndarray[Any, Any]) -> int:
    """Position of the slice (of slices, rows, columns) that holds the most foreground."""
    return int(mask_of(reference, FOREGROUND).sum((1, 2)).argmax())


def draw_distorted_examples(
    cases: pd.DataFrame, distorted: pd.DataFrame, test_sets: Mapping[str, Mapping[str, Any]]
) -> Figure:
    """Draw a row per kind, the undistorted slice in the first column, and a column per degree.

    Args:
        distorted: the distorted scans' case table.
        test_sets: from `Study.distorted_test_sets`.
    """
    use_style()
    kinds = list(dict.fromkeys(settings["kind"] for settings in test_sets.values()))
    columns = 1 + max(settings["place"] for settings in test_sets.values())
    case = choose_example(distorted)
    original = load_scan(cases, case)
    z = largest_slice(original.reference)
    window = Window.around(original.reference[z], original.spacing, MARGIN)
    panel = DOUBLE_COLUMN / columns
    figure = Figure(
        figsize=(DOUBLE_COLUMN, panel * len(kinds) + LEGEND + 0.15 * len(kinds)),
        layout=dense_layout(),
    )
    axes = figure.subplots(len(kinds), columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, kind in zip(axes, kinds, strict=True):
        row[0].set_title(kind_label(kind), loc="left", fontsize=7)
        shown = {0: (case, "none")} | {
            s["place"]: (f"{case}+{kind}-{s['place']}", f"{s['degree']:g}")
            for s in test_sets.values()
            if s["kind"] == kind
        }
        for degree_index, (name, degree) in shown.items():
            scan = original if degree_index == 0 else load_scan(distorted, name)
            row[degree_index].set_axis_on()
            window.show_image(row[degree_index], scan.image[z])
            window.draw_contours(row[degree_index], scan.reference[z], linewidth=0.6)
            name_panel(row[degree_index], degree)
    add_structure_legend(figure, "outside lower center")
    return figure
