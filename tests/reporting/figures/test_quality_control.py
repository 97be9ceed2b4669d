"""Rows of quality control: every method's dot and interval between its own baselines."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from cardiouq.reporting.figures.quality_control import FLAGGED, draw_quality_control
from cardiouq.reporting.rows import looks_of
from cardiouq.structures import STRUCTURES
from tests.reporting.figures.drawn import check_saved
from tests.reporting.reviewed import METHODS, TEST_SETS, review

ALL_TEST_SETS = ["not-drawn", *TEST_SETS]
WIDTH = 4.0
"""Of the made-up intervals, to either side."""


@pytest.fixture(scope="module")
def reviewed() -> pd.DataFrame:
    return review()[0]


@pytest.fixture(scope="module")
def figure(reviewed: pd.DataFrame) -> Figure:
    rows = reviewed[reviewed["by"] == "assd_within"].rename(columns={"flagged_percent": "value"})
    low, high = rows["value"] - WIDTH, rows["value"] + WIDTH
    summary = rows.assign(level="slice", metric=FLAGGED, low=low, high=high)
    volumes = summary.assign(level="volume", value=0.0)
    numbers = pd.concat([summary, volumes])
    return draw_quality_control(numbers, reviewed, METHODS, TEST_SETS, looks_of(ALL_TEST_SETS))


def flagged(reviewed: pd.DataFrame, test_set: str, structure: str, by: str) -> list[float]:
    chosen = reviewed.query("test_set == @test_set and structure == @structure and by == @by")
    return chosen.set_index("method").loc[list(METHODS), "flagged_percent"].tolist()


def test_dots_with_intervals_are_where_the_table_says(
    figure: Figure, reviewed: pd.DataFrame
) -> None:
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(STRUCTURES)
    for axes, structure in zip(figure.axes, STRUCTURES, strict=True):
        for test_set, dots in zip(TEST_SETS, axes.containers, strict=True):
            points, _, [whiskers] = dots
            expected = flagged(reviewed, test_set, structure, "assd_within")
            assert points.get_xdata().tolist() == pytest.approx(expected)
            ends = np.array(whiskers.get_segments())[:, :, 0]
            assert ends == pytest.approx(np.add.outer(expected, [-WIDTH, WIDTH]))


def test_baselines_stand_beside_each_method(figure: Figure, reviewed: pd.DataFrame) -> None:
    axes, structure = figure.axes[0], STRUCTURES[0]
    bars = [c for c in axes.collections if isinstance(c, LineCollection) and c.get_lw()[0] > 2]
    strokes = [line for line in axes.lines if line.get_marker() == "|"]
    for test_set, bar, stroke in zip(TEST_SETS, bars, strokes, strict=True):
        ends = np.array(bar.get_segments())[:, :, 0]
        assert ends[:, 0].tolist() == flagged(reviewed, test_set, structure, "oracle")
        assert ends[:, 1].tolist() == flagged(reviewed, test_set, structure, "random")
        expected = flagged(reviewed, test_set, structure, "slice_position")
        assert stroke.get_xdata().tolist() == expected
    [legend] = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [*TEST_SETS.values(), "oracle to random", "slice position"]


def test_test_sets_look_as_among_all(figure: Figure) -> None:
    looks = looks_of(ALL_TEST_SETS)
    wanted = [looks[name] for name in TEST_SETS]
    [legend] = figure.legends
    for drawn in (figure.axes[0].containers, legend.legend_handles):
        points = [dots[0] if isinstance(dots, tuple) else dots for dots in drawn]
        shown = [(line.get_color(), line.get_marker()) for line in points[: len(wanted)]]
        assert shown == wanted


def test_every_method_has_a_row_of_its_name(figure: Figure) -> None:
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == list(METHODS.values())


def test_figure_fits_a_page(figure: Figure, tmp_path: Path) -> None:
    check_saved(figure, tmp_path)
