"""Reliability diagrams of every method and test set."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cardiouq.reporting.figures.reliability import draw_reliability, reliability_curve
from cardiouq.reporting.style import sequence_colours
from tests.reporting.figures.drawn import METHODS, TEST_SETS, Styles, check_saved


def test_reliability(study: Any, tmp_path: Path) -> None:
    pairs = [(method, test_set) for method in METHODS for test_set in TEST_SETS]
    ece = pd.DataFrame(pairs, columns=["method", "test_set"])
    ece["value"] = [0.5 * number for number in range(len(pairs))]
    figure = draw_reliability(
        study.calibration, ece, METHODS, TEST_SETS, n_bins=100, n_shown=20, minimum_voxels=50
    )
    assert [axes.get_title() for axes in figure.axes[:2]] == list(METHODS.values())
    second = figure.axes[1]
    assert [text.get_text() for text in second.texts] == ["1.50", "2.00", "2.50"]
    colours = [line.get_color() for line in second.lines[1:]]
    assert colours == sequence_colours(len(TEST_SETS))
    assert [text.get_color() for text in second.texts] == colours
    check_saved(figure, tmp_path)


def test_reliability_of_many_methods_fits_a_page(
    study: Any, styles: Styles, tmp_path: Path
) -> None:
    methods = {method: method.replace("_", " ") for method in styles}
    vanilla = study.calibration[study.calibration["method"] == "vanilla"]
    bins = pd.concat(vanilla.assign(method=method) for method in methods)
    pairs = [(method, test_set, 1.0) for method in methods for test_set in TEST_SETS]
    ece = pd.DataFrame(pairs, columns=["method", "test_set", "value"])
    figure = draw_reliability(
        bins, ece, methods, TEST_SETS, n_bins=100, n_shown=20, minimum_voxels=50
    )
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes if axes.get_title()]
    assert titles == list(methods.values())
    check_saved(figure, tmp_path)


def test_reliability_merges_neighbouring_bins() -> None:
    bins = pd.DataFrame(
        {
            "bin": [95, 96, 100, 100],
            "voxels": [10, 30, 10, 10],
            "confidence": [9.5, 28.7, 10.0, 9.9],
            "correct": [9, 20, 10, 5],
        }
    )
    curve = reliability_curve(bins, n_bins=100, n_shown=20)  # (90, 95] and (95, 100] percent
    assert curve["voxels"].tolist() == [10, 50]
    assert curve["confidence"].tolist() == pytest.approx([0.95, 48.6 / 50])
    assert curve["accuracy"].tolist() == pytest.approx([0.9, 0.7])
