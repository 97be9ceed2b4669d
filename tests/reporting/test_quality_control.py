"""Quality control in print: every method's line and marker, every number, captions."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from cardiouq.evaluation.quality_control import N_SLICES, N_SUBJECTS, SECONDS, quality_control
from cardiouq.reporting.captions import render_caption
from cardiouq.reporting.figures.quality_control import crossing, draw_quality_control
from cardiouq.reporting.printing import PrintedTable, to_html, to_latex, to_markdown
from cardiouq.reporting.style import MethodStyle, save_figure
from cardiouq.reporting.tables.quality_control import print_quality_control
from cardiouq.structures import STRUCTURES

TINY = yaml.safe_load((Path(__file__).parents[1] / "workflow/tiny.yaml").read_text("utf-8"))
METHODS = {method: method.replace("_", " ") for method in TINY["methods"]}
Styles = dict[str, MethodStyle]
TEST_SETS = {"val": "Phantom (ID)", "A": "Vendor A (OOD)"}
POOR = {"slice": {"metric": "assd_mm", "RV": 1.88, "MYO": 1.19, "LV": 1.17}, "remaining": 0.05}
REPORT = Path(__file__).parents[2] / "workflow/report"
N_BASELINES = 3


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every known method on two volumes of ten slices; the first one has one sample."""
    rng = np.random.default_rng(5)
    parts = []
    for number, method in enumerate(METHODS):
        for test_set in TEST_SETS:
            for structure in STRUCTURES:
                assd = rng.lognormal(0.2, 0.7, 20)
                within = assd * rng.lognormal(0, 0.5, 20) * (number > 0)
                part = {"case": np.repeat(["a", "b"], 10), "slice": np.tile(np.arange(10), 2)}
                part |= {"assd_mm": assd, "assd_within_mm": within}
                empty = {"reference_empty": part["slice"] == 9, "predicted_empty": False}
                keys = {"method": method, "test_set": test_set, "structure": structure}
                parts.append(pd.DataFrame(part).assign(**keys, **empty))
    return quality_control(pd.concat(parts), list(METHODS), list(TEST_SETS), POOR)


@pytest.fixture(scope="module")
def figure(tables: tuple[pd.DataFrame, pd.DataFrame], styles: Styles) -> Figure:
    return draw_quality_control(tables[1], METHODS, TEST_SETS, styles, remaining=0.05)


def test_every_panel_has_a_line_of_each_method_in_its_colour(
    figure: Figure, tables: tuple[pd.DataFrame, pd.DataFrame], styles: Styles
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


def test_markers_are_where_the_table_says(
    figure: Figure, tables: tuple[pd.DataFrame, pd.DataFrame], styles: Styles
) -> None:
    rows, _ = tables
    of_panel = rows.query("test_set == 'A' and structure == 'MYO' and by == 'assd_within'")
    flagged = of_panel.set_index("method")["flagged_percent"]
    axis = next(a for a in figure.axes if a.get_title(loc="left") == "Vendor A (OOD), MYO")
    markers = [line for line in axis.lines if len(line.get_xydata()) == 1]
    assert [line.get_marker() for line in markers] == [style.marker for style in styles.values()]
    found = [line.get_xdata()[0] for line in markers]
    assert found == pytest.approx(flagged[list(METHODS)].tolist())


def test_baselines_and_limit_stand_beside_the_methods(
    figure: Figure, tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
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


def printed(rows: pd.DataFrame) -> PrintedTable:
    return print_quality_control(rows, METHODS, TEST_SETS, "Quality control.")


def numbers(table: PrintedTable, name: str) -> dict[str, list[str]]:
    """What stands in the columns of the first test set and `all three`, by method."""
    start = next(k for k, row in enumerate(table.rows) if row[0].text == name)
    block = table.rows[start : start + len(METHODS)]
    return {row[1].text: [cell.text for cell in row[2:6]] for row in block}


def test_table_has_every_method_s_numbers(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    rows, _ = tables
    table = printed(rows)
    assert table.columns == ["Metric", "Method", *(*STRUCTURES, "all three") * 2, "Empty"]
    assert {len(row) for row in table.rows} == {len(table.columns)}
    found = rows.query("test_set == 'val'").set_index(["by", "method", "structure"])
    of_swa = [found.loc[("oracle", "swa", s)] for s in (*STRUCTURES, "all")]
    flagged = numbers(table, "Flagged (%): oracle")
    assert flagged["swa"] == [f"{row['flagged_percent']:.1f}" for row in of_swa]
    poor = numbers(table, "Poor (%)")["swa"]
    assert poor == [f"{100 * row['n_poor'] / row['n_slices']:.1f}" for row in of_swa]
    hours = [float(text) for text in numbers(table, "Hours saved against random")["bbb"]]
    assert hours[3] == pytest.approx(sum(hours[:3]), abs=2)
    assert hours[3] > 0
    # one slice of each volume, in three structures of two test sets
    assert {row[-1].text for row in table.rows} == {"12"}
    # one sample ranks by chance, and saves nothing
    assert numbers(table, "Hours saved against random")["vanilla"] == ["0"] * 4
    same = [numbers(table, f"Flagged (%): {by}")["vanilla"] for by in ("ASSD_within", "random")]
    assert same[0] == same[1]


def test_no_hours_saved_are_printed_without_a_sign(
    tables: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    rows, _ = tables
    shown = numbers(printed(rows.assign(hours_saved_random=-0.3)), "Hours saved against random")
    assert shown["bbb"] == ["0"] * 4


def test_more_hours_and_fewer_flagged_are_bold(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    rows, _ = tables
    rank = rows["method"].map({method: number for number, method in enumerate(METHODS)})
    table = printed(rows.assign(hours_saved_random=rank, flagged_percent=rank))
    bold = {(row[1].text, k // len(METHODS)) for k, row in enumerate(table.rows) if row[2].best}
    first, last = (list(METHODS.values())[k] for k in (0, -1))
    names = [row[0].text for row in table.rows if row[0].text]
    assert (first, names.index("Flagged (%): ASSD_within")) in bold
    assert (last, names.index("Hours saved against random")) in bold
    assert not any(names[k].startswith("Flagged (%): r") for _, k in bold)


def test_table_is_written_in_every_form(tables: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table = printed(tables[0])
    assert r"ASSD\_within" in to_latex(table)
    assert "Hours saved against slice position" in to_html(table)
    assert to_markdown(table).count("\n|") >= len(table.rows)


def caption(name: str, **params: Any) -> str:
    common = {"seed": 3, "counts": "4 volumes of 2 subjects", "methods": METHODS}
    snakemake = SimpleNamespace(params=SimpleNamespace(**common, **params))
    return render_caption(REPORT / name, snakemake)


def test_captions_say_limits_constants_and_what_one_sample_is() -> None:
    table = caption("quality_control.rst", title="A study", evaluation={"poor": POOR})
    figure = caption("figure_quality_control.rst", poor=POOR)
    for text in (table, figure):
        assert "RV 1.88, MYO 1.19, LV 1.17" in text
        assert "One sample: no ranking" in text
        assert "5 % of all" in text
        assert "4 volumes of 2 subjects" in text
    assert f"{N_SUBJECTS:,} subjects with {N_SLICES} slices each, {SECONDS} s for" in table
    assert "with vanilla, the study's first method" in figure
