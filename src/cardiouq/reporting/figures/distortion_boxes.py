"""Figures of accuracy and uncertainty by kind and degree of distortion (Ng et al., 2022)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cardiouq.reporting.style import (
    DOUBLE_COLUMN,
    MethodStyle,
    add_legend,
    figure_of_words,
    use_log_scale,
    use_style,
)
from cardiouq.structures import ALL, FOREGROUND

# heights in inches
ROW = 1.7
TALLEST = 8.5
LEGEND = 0.75
GROUP = 0.85
"""Width of all boxes of one degree; the degrees are 1 apart."""
FILL = 0.35
"""Opacity of a box, by which its median stands out, also where the box is but a line."""
BOX = ["minimum", "low", "q1", "median", "q3", "high", "maximum"]

KIND_LABELS = {
    "noise": "Rician noise (SD, image in 0 to 1)",
    "blur": "Gaussian blur (SD, pixels)",
    "stretch": "Stretch of the heart (elongation at its centre)",
    "bias_field": "Bias field (range of its logarithm)",
    "ghosting": "Ghosting (intensity of a ghost over the image's)",
    "thick_slices": "Thicker slices (beyond their distance, in distances)",
}


class Boxed(NamedTuple):
    """One figure of boxes: its structure, and the label and scale of its axis."""

    structure: str
    label: str
    logarithmic: bool
    of_one_sample: float | None = None
    """What a method with one sample has everywhere, which is not drawn."""


BOXED = {
    "dice": Boxed(FOREGROUND, "Dice", False),
    "assd_mm": Boxed(FOREGROUND, "ASSD (mm)", True),
    "predictive_entropy_bits": Boxed(ALL, "Entropy (bits)", True),
    "mutual_information_bits": Boxed(ALL, "Mutual information (bits)", True, 0),
    "dice_within": Boxed(FOREGROUND, "Dice_within", False, 1),
    "assd_within_mm": Boxed(FOREGROUND, "ASSD_within (mm)", True, 0),
}
"""Metric -> its figure; Dice and distances are of the whole foreground."""


def kind_label(kind: str) -> str:
    """Label of a kind of distortion, with what its degree is if that is known."""
    return KIND_LABELS.get(kind, kind.replace("_", " ").capitalize())


def draw_distortion_boxes(
    table: pd.DataFrame,
    metric: str,
    methods: Mapping[str, str],
    kinds: Sequence[str],
    styles: Mapping[str, MethodStyle],
) -> Figure:
    """Draw a row per kind, a group of boxes per degree, and in it a box per method.

    A box is of the quartiles, its line the median, its whiskers end at the last slice within 1.5
    times the box; of the slices beyond the least and the greatest are drawn, as dots. Each kind has
    a scale of its own.

    Args:
        table: rows of `distortions.csv`.
        metric: a key of `BOXED`.
        methods: key -> printed label, in order.
        kinds: in order.
    """
    use_style()
    boxed = BOXED[metric]
    chosen = table[(table["metric"] == metric) & (table["structure"] == boxed.structure)]
    if boxed.of_one_sample is not None:
        chosen = chosen[chosen["method"].isin(_several(chosen, boxed.of_one_sample))]
    drawn = [method for method in methods if method in set(chosen["method"])]
    if not drawn:
        return figure_of_words("No method of this study draws several samples.")
    height = min(ROW * len(kinds), TALLEST) + LEGEND
    figure = Figure(figsize=(DOUBLE_COLUMN, height), layout="constrained")
    for axes, kind in zip(figure.subplots(len(kinds), 1, squeeze=False)[:, 0], kinds, strict=True):
        of_kind = chosen[chosen["kind"] == kind].sort_values("place")
        width = GROUP / len(drawn)
        for index, method in enumerate(drawn):
            shift = (index - (len(drawn) - 1) / 2) * width
            rows = of_kind[of_kind["method"] == method]
            _add_boxes(axes, rows, shift, 0.8 * width, styles[method].colour)
        degrees = of_kind.drop_duplicates("place").set_index("place")["degree"]
        labels = ["none" if place == 0 else f"{degree:g}" for place, degree in degrees.items()]
        axes.set_xticks(degrees.index, labels)
        axes.set_title(kind_label(kind), loc="left")
        axes.set_ylabel(boxed.label)
        if boxed.logarithmic:
            use_log_scale(axes, "y", of_kind[BOX].to_numpy())
    add_legend(figure, [Patch(color=styles[m].colour, label=methods[m]) for m in drawn])
    return figure


def _several(rows: pd.DataFrame, of_one: float) -> set[str]:
    """Methods that do not have the value of a method with one sample everywhere."""
    return set(rows.loc[(rows[BOX] != of_one).any(axis=1), "method"])


def _add_boxes(axes: Axes, rows: pd.DataFrame, shift: float, width: float, colour: str) -> None:
    places = rows["place"] + shift
    for extreme, whisker in (("minimum", "low"), ("maximum", "high")):
        beyond = rows[extreme] != rows[whisker]
        axes.plot(places[beyond], rows.loc[beyond, extreme], ".", color=colour, markersize=2.5)
    axes.bxp(
        [
            {"med": r.median, "q1": r.q1, "q3": r.q3, "whislo": r.low, "whishi": r.high}
            for r in rows.itertuples()
        ],
        positions=places,
        widths=width,
        showfliers=False,
        showcaps=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": to_rgba(colour, FILL), "edgecolor": colour, "linewidth": 0.5},
        medianprops={"color": colour, "linewidth": 1.4},
        whiskerprops={"color": colour, "linewidth": 0.6},
    )
