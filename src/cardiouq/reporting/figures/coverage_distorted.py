"""Figure of how many conformal intervals still hold the reference as a distortion grows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cardiouq.evaluation.conformal import SPREAD
from cardiouq.reporting.figures.coverage import NOMINAL, add_coverage, nominal_line
from cardiouq.reporting.rows import row_figure
from cardiouq.structures import ALL


def draw_coverage_distorted(
    table: pd.DataFrame, methods: Mapping[str, str], distorted: Mapping[str, Mapping[str, Any]]
) -> Figure:
    """Draw a row per method, a panel per kind of distortion, and in it a dot per degree.

    Args:
        table: rows of `conformal.csv`.
        methods: key -> printed label, in order.
        distorted: from `Study.distorted_test_sets`.
    """
    rows = table[(table["by"] == SPREAD) & (table["quantity"] == ALL)]
    rows = rows[np.isclose(rows["nominal"], NOMINAL)]
    kinds = list(dict.fromkeys(settings["kind"] for settings in distorted.values()))
    last = max(settings["place"] for settings in distorted.values())
    degrees = {"0": "none"} | {str(place): f"degree {place}" for place in range(1, last + 1)}
    titles = [kind.replace("_", " ").capitalize() for kind in kinds]
    figure, panels = row_figure(methods, degrees, titles, [nominal_line()])
    for axes, kind in zip(panels, kinds, strict=True):
        of_kind = {name: s for name, s in distorted.items() if s["kind"] == kind}
        places = {settings["of"]: "0" for settings in of_kind.values()}
        places |= {name: str(settings["place"]) for name, settings in of_kind.items()}
        shown = rows[rows["test_set"].isin(list(places))]
        shown = shown.assign(test_set=shown["test_set"].map(places))
        add_coverage(axes, shown, methods, degrees)
        axes.set_xlabel("Coverage (%)")
    return figure
