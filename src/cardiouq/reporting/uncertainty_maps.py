"""Predictions and entropy maps of every method on a success and on failures (Zhao et al. 2022,
Fig. 3)."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from cardiouq.reporting.selection import Volume, choose_slice, mean_dice, success_and_failures
from cardiouq.reporting.slices import (
    Scan,
    Window,
    add_structure_legend,
    close_layout,
    load_map,
    load_scan,
    name_panel,
)
from cardiouq.reporting.style import DOUBLE_COLUMN, use_style

COLOUR_MAP = "inferno"
GAP = 0.06
"""Height of the space between volumes, in panels."""
SMALLEST_SCALE = 0.1
"""Bits; below this the scale does not shrink, so that certain methods look certain."""


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
        cases: the case table.
        predictions: folder `prediction` of the study.
        methods, test_sets: key -> printed label, in order.
        n_failures: rows beside the success.
    """
    use_style()
    volumes = success_and_failures(scores, n_failures)
    n_columns = len(methods) + 1
    panel = DOUBLE_COLUMN / (n_columns + 0.3)
    # Two rows of panels for each volume, and a thin empty row between volumes.
    heights = ([1, 1, GAP] * len(volumes))[:-1]
    figure = Figure(figsize=(DOUBLE_COLUMN, panel * sum(heights) + 0.9), layout=close_layout())
    axes = figure.subplots(len(heights), n_columns, squeeze=False, height_ratios=heights)
    for gap in axes[2::3].flat:
        gap.set_axis_off()
    maps: list[AxesImage] = []
    for rows, volume in zip(np.split(axes, range(3, len(heights), 3)), volumes, strict=True):
        scan = load_scan(cases, volume.case)
        maps += _draw_volume(rows, volume, scan, predictions, list(methods))
        fate = "Failure" if volume.failure else "Success"
        rows[0, 0].set_ylabel(f"{fate}\n{scan.subject}, {scan.phase}", fontsize=6.5)
        rows[1, 0].set_ylabel(textwrap.fill(test_sets[volume.test_set], 16), fontsize=6.5)
    for axis, title in zip(axes[0], ["Image, reference", *methods.values()], strict=True):
        axis.set_title(textwrap.fill(title, 14), fontsize=6.5)
    largest = max(entropy.get_clim()[1] or 0 for entropy in maps)
    for entropy in maps:
        entropy.set_clim(0, max(largest, SMALLEST_SCALE))
    bar = figure.colorbar(
        maps[0], ax=axes, location="bottom", fraction=0.02, aspect=50, shrink=0.5, pad=0.01
    )
    bar.set_label("Entropy of the mean prediction (bits)", fontsize=7)
    bar.outline.set_visible(False)
    add_structure_legend(figure, "lower left")
    return figure


def _draw_volume(
    axes: NDArray[Any], volume: Volume, scan: Scan, predictions: Path, methods: list[str]
) -> list[AxesImage]:
    """Fill the two rows of a volume; return the entropy maps, which have no common scale yet."""
    folders = [predictions / method / volume.test_set for method in methods]
    labels = [load_map(folder / f"{volume.case}_segmentation.nii.gz") for folder in folders]
    z = choose_slice(scan.reference, labels, volume.failure)
    window = Window.around(scan.reference[z], scan.spacing)
    for axis in axes[:2, 0]:
        window.show_image(axis, scan.image[z])
    window.draw_contours(axes[0, 0], scan.reference[z])
    name_panel(axes[0, 0], f"slice {z + 1}/{len(scan.image)}")
    maps = []
    for column, (folder, predicted) in enumerate(zip(folders, labels, strict=True), start=1):
        window.show_image(axes[0, column], scan.image[z])
        window.draw_contours(axes[0, column], predicted[z])
        name_panel(axes[0, column], f"{mean_dice(scan.reference[z], predicted[z]):.2f}")
        entropy = load_map(folder / f"{volume.case}_entropy.nii.gz")[z]
        maps.append(window.show(axes[1, column], entropy, cmap=COLOUR_MAP))
    return maps
