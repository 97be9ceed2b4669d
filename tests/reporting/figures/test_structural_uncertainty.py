"""Segmentations of single samples beside their mean."""

from pathlib import Path
from typing import Any

import pandas as pd

from cardiouq.reporting.figures.structural_uncertainty import draw_structural_uncertainty
from tests.reporting.figures.drawn import METHODS, check_saved


def test_structural_uncertainty_shows_samples_of_the_worst_volume(
    study: Any, tmp_path: Path
) -> None:
    slices = [
        row | {"slice": z, "structure": "foreground", "assd_mm": 1.0 + z, "assd_within_mm": 0.5}
        for row in study.scores.drop(columns=["structure", "dice"]).to_dict("records")
        for z in range(5)
    ]
    slice_scores = pd.DataFrame(slices).drop_duplicates(["method", "test_set", "case", "slice"])
    figure = draw_structural_uncertainty(
        study.scores, slice_scores, study.cases, study.root / "prediction", METHODS
    )
    assert len(figure.axes) == 5  # Vanilla has one sample
    assert [axes.get_title() for axes in figure.axes] == [
        "Reference",
        "Mean",
        "Sample 1",
        "Sample 2",
        "Sample 3",
    ]
    assert "within 0.5 mm" in figure.axes[0].get_ylabel()
    check_saved(figure, tmp_path)


def test_the_worst_volume_is_so_by_its_structures_not_by_the_foreground(study: Any) -> None:
    scores = study.scores
    of_structures = scores.groupby(["test_set", "case"])["dice"].mean()
    worst, other = of_structures.idxmin()[1], of_structures.idxmax()[1]
    foreground = scores.drop_duplicates(["method", "test_set", "case"]).assign(
        structure="foreground", assd_within_mm=0.5
    )
    # far below what any structure has
    foreground["dice"] = foreground["case"].eq(other) * -100.0
    foreground["assd_mm"] = foreground["case"].map({worst: 1.5, other: 9.5})
    slices = pd.concat([foreground.assign(slice=z) for z in range(5)])
    figure = draw_structural_uncertainty(
        pd.concat([scores, foreground]), slices, study.cases, study.root / "prediction", METHODS
    )
    assert "ASSD 1.5 mm" in figure.axes[0].get_ylabel()


def test_without_a_method_of_several_samples_the_figure_says_so(study: Any, tmp_path: Path) -> None:
    nothing = pd.DataFrame(columns=["method", "test_set", "case", "slice", "structure"])
    figure = draw_structural_uncertainty(
        study.scores, nothing, study.cases, study.root / "prediction", {"vanilla": "Vanilla"}
    )
    assert "No method" in figure.texts[0].get_text()
    check_saved(figure, tmp_path)
