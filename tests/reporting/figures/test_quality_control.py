"""Curves of quality control: every method's line and marker, in every panel."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from cardiouq.reporting.figures.quality_control import crossing, draw_quality_control
from cardiouq.reporting.style import MethodStyle, save_figure
from cardiouq.structures import STRUCTURES
from tests.reporting.reviewed import METHODS, TEST_SETS, review

Styles = dict[str, MethodStyle]
N_BASELINES = 3
Tables = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def tables() -> Tables:
    return review()


@pytest.fixture(scope="module")
def figure(tables: Tables, styles: Styles) -> Figure:
    return draw_quality_control(tables[1], METHODS, TEST_SETS, styles, remaining=0.05)


def test_every_panel_has_a_line_of_each_method_in_its_colour(
    figure: Figure, tables: Tables, styles: Styles
) -> None:
    _, curves = tables
    points = {
        keys: part[["flagged_percent", "poor_left_percent"]].to_numpy()
        for keys, part in curves.groupby(["test_set", "structure", "by", "method"])
    }
    panels = iter(figure.axes)
    for test_set, label in TEST_SETS.items():
        for structure in STRUCTURES:
            axis = next(panels)
            assert axis.get_title(loc="left") == f"{label}, {structure}"
            for method, style in styles.items():
                curve = points[test_set, structure, "assd_within", method]
                drawn = [line for line in axis.lines if np.array_equal(line.get_xydata(), curve)]
                assert style.colour.lower() in {to_hex(line.get_color()) for line in drawn}
    assert next(panels, None) is None


def test_markers_are_where_the_table_says(figure: Figure, tables: Tables, styles: Styles) -> None:
    rows, _ = tables
    of_panel = rows.query("test_set == 'A' and structure == 'MYO' and by == 'assd_within'")
    flagged = of_panel.set_index("method")["flagged_percent"]
    axis = next(a for a in figure.axes if a.get_title(loc="left") == "Vendor A (OOD), MYO")
    markers = [line for line in axis.lines if len(line.get_xydata()) == 1]
    assert [line.get_marker() for line in markers] == [style.marker for style in styles.values()]
    found = [line.get_xdata()[0] for line in markers]
    assert found == pytest.approx(flagged[list(METHODS)].tolist())


def test_baselines_and_limit_stand_beside_the_methods(figure: Figure, tables: Tables) -> None:
    _, curves = tables
    first = curves.query("method == 'vanilla' and test_set == 'val' and structure == 'RV'")
    axis = figure.axes[0]
    assert len(axis.lines) == 2 * len(METHODS) + N_BASELINES + 1
    for by in ("random", "slice_position", "oracle"):
        points = first.loc[first["by"] == by, ["flagged_percent", "poor_left_percent"]]
        dashed = [line for line in axis.lines if line.is_dashed()]
        assert sum(np.array_equal(line.get_xydata(), points) for line in dashed) == 1
    assert axis.lines[0].get_ydata() == [5, 5]
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *METHODS.values(),
        *(f"{name} (vanilla)" for name in ("Random", "Slice position", "Oracle")),
        "5 % left",
    ]


def test_figure_fits_a_page(figure: Figure, tmp_path: Path) -> None:
    save_figure(figure, tmp_path / "f.png", tmp_path / "f.pdf")
    assert figure.get_figwidth() == 7.0
    assert figure.get_figheight() < 9.5
    assert (tmp_path / "f.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ([20, 10, 0], (15, 5)),  # half way down
        ([20, 5, 5, 0], (10, 5)),  # the first of a flat part
        ([4, 2, 0], (0, 4)),  # below from the start
    ],
)
def test_few_enough_are_left(left: list[float], expected: tuple[float, float]) -> None:
    flagged = 10.0 * np.arange(len(left))
    assert crossing(flagged, np.array(left, float), 5) == pytest.approx(expected)
