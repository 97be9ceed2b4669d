"""Boxes of every method at every degree of every kind."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cardiouq.reporting.figures.distortion_boxes import BOX, BOXED, draw_distortion_boxes
from tests.reporting.figures.drawn import ALL_METHODS, Styles, check_saved

KINDS = ("noise", "blur", "own_kind")


@pytest.mark.parametrize("metric", BOXED)
def test_boxes_have_every_method_at_every_degree(
    metric: str, styles: Styles, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for method, kind, place in itertools.product(ALL_METHODS, KINDS, range(5)):
        numbers = dict(zip(BOX, np.sort(rng.gamma(1, 0.3, len(BOX))), strict=True))
        rows.append(
            {
                "method": method,
                "kind": kind,
                "place": place,
                "degree": place / 10,
                "metric": metric,
                "structure": BOXED[metric].structure,
            }
            | numbers
        )
    figure = draw_distortion_boxes(pd.DataFrame(rows), metric, ALL_METHODS, KINDS, styles)
    for axes, kind in zip(figure.axes, KINDS, strict=True):
        assert len(axes.patches) == 5 * len(ALL_METHODS)
        bold = [line for line in axes.lines if line.get_linewidth() > 1]
        medians = [line.get_ydata()[0] for line in bold if line.get_marker() != "."]
        of_kind = [row for row in rows if row["kind"] == kind]
        assert sorted(medians) == sorted(row["median"] for row in of_kind)
        dots = [y for line in axes.lines if line.get_marker() == "." for y in line.get_ydata()]
        extremes = [row[end] for row in of_kind for end in ("minimum", "maximum")]
        assert sorted(dots) == sorted(extremes)
    assert figure.axes[2].get_title(loc="left") == "Own kind"
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == [
        "none",
        "0.1",
        "0.2",
        "0.3",
        "0.4",
    ]
    check_saved(figure, tmp_path)


@pytest.mark.parametrize(
    ("metric", "constant"),
    [("dice_within", 1.0), ("assd_within_mm", 0.0), ("mutual_information_bits", 0.0)],
)
def test_methods_with_one_sample_have_no_boxes_of_what_is_within(
    metric: str, constant: float, styles: Styles
) -> None:
    numbers = dict.fromkeys(BOX, constant)
    keys = {"kind": "noise", "metric": metric, "structure": BOXED[metric].structure}
    rows = [
        keys | {"method": method, "place": place, "degree": place} | numbers | {"minimum": lowest}
        for method, lowest in (("vanilla", constant), ("swa", constant), ("hmc_cp", 0.5))
        for place in range(2)
    ]
    figure = draw_distortion_boxes(pd.DataFrame(rows), metric, ALL_METHODS, ["noise"], styles)
    assert len(figure.axes[0].patches) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [ALL_METHODS["hmc_cp"]]
    nothing = draw_distortion_boxes(pd.DataFrame(rows[:4]), metric, ALL_METHODS, ["noise"], styles)
    assert "No method" in nothing.texts[0].get_text()


def test_a_scale_with_0_begins_there_and_is_logarithmic_above(styles: Styles) -> None:
    keys = {"method": "vanilla", "kind": "noise", "degree": 0.0, "metric": "assd_mm"}
    box = dict(zip(BOX, (0.0, 0.0, 0.5, 2.0, 3.0, 40.0, 40.0), strict=True))
    rows = pd.DataFrame([keys | box | {"structure": "foreground", "place": 0}])
    [axes] = draw_distortion_boxes(rows, "assd_mm", ALL_METHODS, ["noise"], styles).axes
    assert axes.get_yscale() == "symlog"
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert {"0", "0.1", "1", "10"} <= set(labels)
