"""Figure of predictions and entropy maps on a success and failures (Zhao et al. 2022, Fig. 3)."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from cardiouq.data.readers.scans import load_prediction
from cardiouq.reporting.selection import Volume, choose_slice, mean_dice, success_and_failures
from cardiouq.reporting.slices import (
    Scan,
    Window,
    add_structure_legend,
    load_scan,
    name_panel,
    pack_panels,
)
from cardiouq.reporting.style import DOUBLE_COLUMN, use_style

COLOUR_MAP = "inferno"
GAP = 0.06
"""Width of the space between volumes, in panels."""
# the width of the methods' labels, and heights of all panels and below them, in inches
LABELS = 0.95
TALLEST = 7.9
FOOT = 0.75
# of a letter and a line of a heading, in inches
LETTER = 0.056
LINE = 0.11
SMALLEST_SCALE = 0.1
"""Smallest end of the scale, in bits, so that certain methods look certain."""


def draw_uncertainty_maps(
    scores: pd.DataFrame,
    cases: pd.DataFrame,
    predictions: Path,
    methods: dict[str, str],
    test_sets: dict[str, str],
    n_failures: int = 3,
) -> Figure:
    """Draw the figure; `selection` says by which rule volumes and slices are chosen.

    Args:
        scores: rows of `scores.csv` of all methods.
        predictions: folder `prediction` of the study.
        methods, test_sets: key -> printed label, in order.
        n_failures: rows beside the success.
    """
    use_style()
    volumes = success_and_failures(scores, n_failures)
    n_rows = len(methods) + 1
    # two columns of panels for each volume, and a thin empty one between volumes
    widths = ([1, 1, GAP] * len(volumes))[:-1]
    panel = min(TALLEST / n_rows, (DOUBLE_COLUMN - LABELS) / sum(widths))
    figure = Figure()
    axes = figure.subplots(n_rows, len(widths), squeeze=False, width_ratios=widths)
    for gap in axes[:, 2::3].flat:
        gap.set_axis_off()
    maps: list[AxesImage] = []
    headings = []
    for columns, volume in zip(
        np.split(axes, range(3, len(widths), 3), axis=1), volumes, strict=True
    ):
        scan = load_scan(cases, volume.case)
        z = _draw_volume(columns.T, volume, scan, predictions, list(methods))
        maps += [axis.images[0] for axis in columns[1:, 1]]
        lines = [
            f"{'Failure' if volume.failure else 'Success'}: {scan.subject}",
            f"{scan.phase}, slice {z + 1}/{len(scan.image)}",
            test_sets[volume.test_set],
        ]
        heading = "\n".join(textwrap.fill(line, int(2 * panel / LETTER)) for line in lines)
        columns[0, 0].set_title(heading, fontsize=6, loc="left")
        headings.append(heading)
    above = LINE * (1 + max(heading.count("\n") + 1 for heading in headings))
    width, height = LABELS + panel * sum(widths), above + panel * n_rows + FOOT
    figure.set_size_inches(width, height)
    pack_panels(figure, LABELS, FOOT, above)
    for axis, label in zip(axes[:, 0], ["Image, reference", *methods.values()], strict=True):
        axis.set_ylabel(textwrap.fill(label, 16), fontsize=6.5, rotation=0, ha="right", va="center")
    largest = max(entropy.get_clim()[1] or 0 for entropy in maps)
    for entropy in maps:
        entropy.set_clim(0, max(largest, SMALLEST_SCALE))
    bar_axes = figure.add_axes(
        (LABELS / width, 0.85 * FOOT / height, 0.95 - LABELS / width, 0.08 * FOOT / height)
    )
    bar = figure.colorbar(maps[0], cax=bar_axes, orientation="horizontal")
    bar.set_label("Entropy of the mean prediction (bits)", fontsize=7)
    bar.outline.set_visible(False)
    add_structure_legend(figure, "lower left", "Dice")
    return figure


def _draw_volume(
    axes: NDArray[Any], volume: Volume, scan: Scan, predictions: Path, methods: list[str]
) -> int:
    """Fill a volume's columns (first axis of `axes`), maps unscaled; return the slice's index."""
    folders = [predictions / method / volume.test_set for method in methods]
    labels = [load_prediction(folder / f"{volume.case}_segmentation.nii.gz") for folder in folders]
    z = choose_slice(scan.reference, labels, volume.failure)
    window = Window.around(scan.reference[z], scan.spacing)
    for axis in axes[:2, 0]:
        window.show_image(axis, scan.image[z])
    window.draw_contours(axes[0, 0], scan.reference[z])
    for row, (folder, predicted) in enumerate(zip(folders, labels, strict=True), start=1):
        window.show_image(axes[0, row], scan.image[z])
        window.draw_contours(axes[0, row], predicted[z], linewidth=0.6)
        name_panel(axes[0, row], f"{mean_dice(scan.reference[z], predicted[z]):.2f}", size=5)
        entropy = load_prediction(folder / f"{volume.case}_entropy.nii.gz")[z]
        window.show(axes[1, row], entropy, cmap=COLOUR_MAP)
    return z
