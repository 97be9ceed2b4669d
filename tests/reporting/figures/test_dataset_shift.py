"""Bars of every number of dataset shift."""

from pathlib import Path

import numpy as np
import pandas as pd

from cardiouq.reporting.figures.dataset_shift import BARS, draw_dataset_shift
from tests.reporting.figures.drawn import ALL_METHODS, Styles, check_saved


def test_shift_has_a_bar_for_every_number(styles: Styles, tmp_path: Path) -> None:
    rows = [
        {
            "method": method,
            "test_set": test_set,
            "level": "slice",
            "metric": bars.metric,
            "structure": structure,
            "value": 0.5,
            "low": low,
            "high": 0.6,
        }
        for method in ALL_METHODS
        for test_set, low in (("val", 0.4), ("A", np.nan))
        for bars in BARS
        for structure in (("RV", "MYO", "LV") if bars.of_structures else ("all",))
    ]
    test_sets = {"val": "Phantom (ID)", "A": "Vendor A (OOD)"}
    figure = draw_dataset_shift(pd.DataFrame(rows), ALL_METHODS, test_sets, styles)
    for axes in figure.axes:
        assert [patch.get_height() for patch in axes.patches] == [0.5] * 2 * len(ALL_METHODS)
    check_saved(figure, tmp_path)
