"""Figure of entropy and mutual information as a distortion grows (Ng et al., 2022)."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cardiouq.data.readers.scans import load_prediction
from cardiouq.files.reading import was_made
from cardiouq.reporting.figures.distorted_examples import choose_example, largest_slice
from cardiouq.reporting.figures.distortion_boxes import kind_label
from cardiouq.reporting.slices import Window, load_scan, pack_panels
from cardiouq.reporting.style import DOUBLE_COLUMN, use_style

MAPS = {"entropy": "Entropy", "mutual_information": "Mutual information"}
COLOUR_MAP = "inferno"
# the width of the methods' labels, and heights of all panels, above and below them, in inches
LABELS = 0.95
TALLEST = 8.2
HEADING = 0.35
FOOT = 0.7
GAP = 0.15
"""Width of the space between the maps, in panels."""


def draw_distortion_maps(
    cases: pd.DataFrame,
    distorted: pd.DataFrame,
    predictions: Path,
    methods: Mapping[str, str],
    kind: str,
    degrees: Mapping[str, float],
    of: str,
) -> Figure:
    """Draw a row per method, and for each map a column per degree.

    Args:
        cases, distorted: the case tables.
        predictions: folder `prediction` of the study.
        methods: key -> printed label, in order; a method of one sample has no mutual information.
        kind: of the distortion.
        degrees: distorted test sets of that kind -> degree, in growing order.
        of: the test set that was distorted.
    """
    use_style()
    case = choose_example(distorted)
    scan = load_scan(cases, case)
    z = largest_slice(scan.reference)
    window = Window.around(scan.reference[z], scan.spacing)
    shown = {of: "none"} | {name: f"{degree:g}" for name, degree in degrees.items()}
    widths = [*([1] * len(shown)), GAP, *([1] * len(shown))]
    panel = min(TALLEST / (len(methods) + 1), (DOUBLE_COLUMN - LABELS) / sum(widths))
    width, height = LABELS + panel * sum(widths), HEADING + panel * (len(methods) + 1) + FOOT
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(len(methods) + 1, len(widths), squeeze=False, width_ratios=widths)
    pack_panels(figure, LABELS, FOOT, HEADING)
    for axis in axes.flat:
        axis.set_axis_off()
    halves = {"entropy": axes[:, : len(shown)], "mutual_information": axes[:, -len(shown) :]}
    for column, (test_set, degree) in enumerate(shown.items()):
        name = case if test_set == of else f"{case}+{test_set.partition('+')[2]}"
        image = (scan if test_set == of else load_scan(distorted, name)).image[z]
        for half in halves.values():
            window.show_image(half[0, column], image)
            half[0, column].set_title(degree, fontsize=6.5, pad=2)
        for row, method in enumerate(methods, start=1):
            for shown_map, half in halves.items():
                path = predictions / method / test_set / f"{name}_{shown_map}.nii.gz"
                if was_made(path):
                    window.show(half[row, column], load_prediction(path)[z], cmap=COLOUR_MAP)
                elif column == 0:
                    _say(half[row, 0], 0, "left", "one sample")
    for shown_map, half in halves.items():
        _finish(figure, half, MAPS[shown_map], FOOT / height)
    for axis, label in zip(axes[:, 0], ["Image", *methods.values()], strict=True):
        _say(axis, -0.1, "right", textwrap.fill(label, 16))
    figure.text(LABELS / width, 1 - 0.1 / height, kind_label(kind), fontsize=7, va="center")
    return figure


def _say(axis: Axes, x: float, align: Literal["left", "right"], text: str) -> None:
    """Write a few words at half the height of a panel."""
    axis.text(x, 0.5, text, transform=axis.transAxes, ha=align, va="center", fontsize=6.5)


def _finish(figure: Figure, half: NDArray[Any], label: str, foot: float) -> None:
    """One scale for all maps of a half, from 0 to the largest value that is shown."""
    maps: Sequence[Any] = [axis.images[0] for axis in half[1:].flat if axis.images]
    if not maps:  # of mutual information, where every method has one sample
        return
    for shown in maps:
        shown.set_clim(0, max(m.get_array().max() for m in maps))
    left, right = half[0, 0].get_position().x0, half[0, -1].get_position().x1
    # a little narrower, as the last number stands half beyond the bar's end
    bar_axes = figure.add_axes((left, 0.75 * foot, 0.97 * (right - left), 0.12 * foot))
    bar = figure.colorbar(maps[0], cax=bar_axes, orientation="horizontal")
    bar.set_label(f"{label}\n(bits)", fontsize=7)
    bar.outline.set_visible(False)
