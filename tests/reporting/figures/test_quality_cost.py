"""Quality against cost: every method labelled, no label on another."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text

from cardiouq.reporting.figures.quality_cost import draw_quality_cost, space_apart
from cardiouq.reporting.style import MethodStyle

TEST_SETS = {"val": "Phantom (ID)", "A": "Vendor A (OOD)"}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 0.05))
def test_heights_are_spread_and_stay_in_order_and_inside(
    heights: list[float], spacing: float
) -> None:
    moved = space_apart(np.sort(heights), spacing)
    assert (np.diff(moved) >= spacing - 1e-9).all()
    assert moved.min() >= -1e-9
    assert moved.max() <= 1 + 1e-9


def test_heights_apart_do_not_move_and_near_ones_share_the_way() -> None:
    np.testing.assert_allclose(space_apart(np.array([0.1, 0.3, 0.9]), 0.1), [0.1, 0.3, 0.9])
    np.testing.assert_allclose(space_apart(np.array([0.5, 0.5, 0.9]), 0.1), [0.45, 0.55, 0.9])


@pytest.mark.parametrize("dice", [np.linspace(0.80, 0.81, 17), np.full(17, 0.9)])
def test_no_label_overlaps_another_or_leaves_the_figure(
    tiny: dict[str, Any], styles: dict[str, MethodStyle], dice: np.ndarray
) -> None:
    methods = {method: block["label"] for method, block in tiny["methods"].items()}
    table = pd.concat(
        pd.DataFrame({"method": list(methods), "test_set": test_set, "dice": dice}).assign(
            ece_percent=2.0, prediction_seconds_per_slice=0.1, training_iterations=1000
        )
        for test_set in TEST_SETS
    )
    figure = draw_quality_cost(table, methods, TEST_SETS, styles)
    assert len(figure.axes) == 8
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axis in figure.axes:
        assert {text.get_text() for text in axis.texts} == set(methods.values())
        boxes = sorted(
            (Text.get_window_extent(text, canvas.get_renderer()) for text in axis.texts),
            key=lambda box: box.y0,
        )
        for lower, upper in pairwise(boxes):
            assert upper.y0 >= lower.y1 - 1  # a pixel: the box is higher than the letters
        assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_points_have_their_method_s_colour_and_place() -> None:
    methods = {"vanilla": "Vanilla", "own": "Own"}
    table = pd.DataFrame(
        {
            "method": ["own", "vanilla"],
            "test_set": "val",
            "dice": [0.8, 0.9],
            "ece_percent": [1.0, 2.0],
            "prediction_seconds_per_slice": [0.5, 0.1],
            "training_iterations": [3000, 1000],
        }
    )
    styles = {"vanilla": MethodStyle("#000000", "o"), "own": MethodStyle("#FFCCB2", "^")}
    figure = draw_quality_cost(table, methods, {"val": "ID"}, styles)
    first = figure.axes[0]
    assert first.get_xscale() == "log"
    drawn = [tuple(points.get_offsets()[0]) for points in first.collections]
    assert drawn == [(0.1, 0.9), (0.5, 0.8)]
    colours = [to_hex(points.get_facecolor()[0]) for points in first.collections]
    assert colours == ["#000000", "#ffccb2"]
