"""Boxes of every method at every degree of every kind."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cardiouq.reporting.figures.distortion_boxes import BOXED, draw_distortion_boxes
from tests.reporting.figures.drawn import ALL_METHODS, Styles, check_saved

KINDS = ("noise", "blur", "own_kind")


@pytest.mark.parametrize("metric", BOXED)
def test_boxes_have_every_method_at_every_degree(
    metric: str, styles: Styles, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for method, kind, place in itertools.product(ALL_METHODS, KINDS, range(5)):
        low, q1, median, q3, high = np.sort(rng.gamma(1, 0.3, 5))
        rows.append(
            {
                "method": method,
                "kind": kind,
                "place": place,
                "degree": place / 10,
                "metric": metric,
                "structure": BOXED[metric].structure,
                "low": low,
                "q1": q1,
                "median": median,
                "q3": q3,
                "high": high,
            }
        )
    figure = draw_distortion_boxes(pd.DataFrame(rows), metric, ALL_METHODS, KINDS, styles)
    for axes, kind in zip(figure.axes, KINDS, strict=True):
        assert len(axes.patches) == 5 * len(ALL_METHODS)
        medians = [line.get_ydata()[0] for line in axes.lines if line.get_color() == "white"]
        assert sorted(medians) == sorted(row["median"] for row in rows if row["kind"] == kind)
    assert figure.axes[2].get_title(loc="left") == "Own kind"
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == [
        "none",
        "0.1",
        "0.2",
        "0.3",
        "0.4",
    ]
    check_saved(figure, tmp_path)
