"""Figure of structural uncertainty: single samples beside their mean (Ng et al., 2022)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from cardiouq.data.readers.scans import load_prediction
from cardiouq.files.reading import was_made
from cardiouq.reporting.selection import Volume, choose_slice, rank_volumes
from cardiouq.reporting.slices import (
    Window,
    add_structure_legend,
    load_scan,
    pack_panels,
)
from cardiouq.reporting.style import DOUBLE_COLUMN, figure_of_words, use_style
from cardiouq.structures import FOREGROUND

N_SAMPLES = 3
# the width of the methods' names, and heights of all panels, above and below them, in inches
LABELS = 1.3
TALLEST = 8.6
HEADING = 0.2
FOOT = 0.25
LARGEST_PANEL = (DOUBLE_COLUMN - LABELS) / (2 + N_SAMPLES)


def draw_structural_uncertainty(
    scores: pd.DataFrame,
    slice_scores: pd.DataFrame,
    cases: pd.DataFrame,
    predictions: Path,
    methods: Mapping[str, str],
) -> Figure:
    """Draw a row per method of several samples, for the volume of the lowest mean Dice.

    It shows the reference, the segmentation of the mean with its ASSD and ASSD_within, and three of
    the samples.

    Args:
        scores, slice_scores: rows of all methods on the study's own test sets.
        predictions: folder `prediction` of the study.
        methods: key -> printed label, in order.
    """
    use_style()
    worst = rank_volumes(scores).iloc[0]
    volume = Volume(str(worst["test_set"]), str(worst["case"]), failure=True)
    files = {
        method: predictions / method / volume.test_set / f"{volume.case}_samples.nii.gz"
        for method in methods
    }
    samples = {method: load_prediction(path) for method, path in files.items() if was_made(path)}
    if not samples:
        return figure_of_words("No method of this study draws several samples.")
    scan = load_scan(cases, volume.case)
    of_means = {
        method: load_prediction(files[method].with_name(f"{volume.case}_segmentation.nii.gz"))
        for method in samples
    }
    z = choose_slice(scan.reference, list(of_means.values()), volume.failure)
    window = Window.around(scan.reference[z], scan.spacing)
    measured = _of_slice(slice_scores, volume, z)
    columns = 2 + N_SAMPLES
    panel = min(TALLEST / len(samples), LARGEST_PANEL)
    height = HEADING + panel * len(samples) + FOOT
    figure = Figure(figsize=(LABELS + panel * columns, height))
    axes = figure.subplots(len(samples), columns, squeeze=False)
    pack_panels(figure, LABELS, FOOT, HEADING)
    for row, (method, of_method) in zip(axes, samples.items(), strict=True):
        count = min(N_SAMPLES, len(of_method))
        chosen = np.linspace(0, len(of_method) - 1, count).round().astype(int)
        shown = [scan.reference[z], of_means[method][z], *of_method[chosen, z]]
        for axis in row[len(shown) :]:
            axis.set_axis_off()
        for axis, labels in zip(row, shown, strict=False):
            window.show_image(axis, scan.image[z])
            window.draw_contours(axis, labels, linewidth=0.6)
        assd, within = measured.loc[method, ["assd_mm", "assd_within_mm"]]
        name = f"{methods[method]}\nASSD {assd:.1f} mm,\nwithin {within:.1f} mm"
        row[0].set_ylabel(name, fontsize=6.5, rotation=0, ha="right", va="center")
    titles = ["Reference", "Mean", *(f"Sample {i + 1}" for i in range(N_SAMPLES))]
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=7)
    add_structure_legend(figure, "lower right")
    return figure


def _of_slice(slice_scores: pd.DataFrame, volume: Volume, z: int) -> pd.DataFrame:
    """The whole foreground's scores of one slice, by method."""
    rows = slice_scores[
        (slice_scores["test_set"] == volume.test_set)
        & (slice_scores["case"] == volume.case)
        & (slice_scores["slice"] == z)
        & (slice_scores["structure"] == FOREGROUND)
    ]
    return rows.set_index("method")
