"""Figures of accuracy and uncertainty by kind and degree of distortion (Ng et al., 2022)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from cardiouq.reporting.style import DOUBLE_COLUMN, MethodStyle, add_method_legend, use_style
from cardiouq.structures import ALL, FOREGROUND

# heights in inches
ROW = 1.7
LEGEND = 0.75
GROUP = 0.85
"""Width of all boxes of one degree; the degrees are 1 apart."""
SMALLEST = 1e-4
"""Uncertainty below which its scale is linear, so that 0 is on it."""

KIND_LABELS = {
    "noise": "Rician noise (SD, image in 0 to 1)",
    "blur": "Gaussian blur (sigma, pixels)",
    "stretch": "Stretch around the heart",
    "bias_field": "Bias field",
    "ghosting": "Ghosting",
    "thick_slices": "Thicker slices",
}


class Boxed(NamedTuple):
    """One figure of boxes: its structure, and the label and scale of its axis."""

    structure: str
    label: str
    logarithmic: bool


BOXED = {
    "dice": Boxed(FOREGROUND, "Dice", False),
    "assd_mm": Boxed(FOREGROUND, "ASSD (mm)", True),
    "predictive_entropy_bits": Boxed(ALL, "Entropy (bits)", True),
    "mutual_information_bits": Boxed(ALL, "Mutual information (bits)", True),
    "dice_within": Boxed(FOREGROUND, "Dice_within", False),
    "assd_within_mm": Boxed(FOREGROUND, "ASSD_within (mm)", True),
}
"""Metric -> its figure; Dice and distances are of the whole foreground."""


def kind_label(kind: str) -> str:
    """Label of a kind of distortion, with the unit of its degree if it is known."""
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
    times the box; slices beyond are not drawn.

    Args:
        table: rows of `distortions.csv`.
        metric: a key of `BOXED`.
        methods: key -> printed label, in order.
        kinds: in order.
    """
    use_style()
    boxed = BOXED[metric]
    height = ROW * len(kinds) + LEGEND
    figure = Figure(figsize=(DOUBLE_COLUMN, height), layout="constrained")
    axes = figure.subplots(len(kinds), 1, squeeze=False, sharey=True)[:, 0]
    chosen = table[(table["metric"] == metric) & (table["structure"] == boxed.structure)]
    width = GROUP / len(methods)
    for axis, kind in zip(axes, kinds, strict=True):
        of_kind = chosen[chosen["kind"] == kind]
        for index, (method, style) in enumerate(styles.items()):
            rows = of_kind[of_kind["method"] == method].sort_values("place")
            axis.bxp(
                [
                    {"med": r.median, "q1": r.q1, "q3": r.q3, "whislo": r.low, "whishi": r.high}
                    for r in rows.itertuples()
                ],
                positions=rows["place"] + (index - (len(methods) - 1) / 2) * width,
                widths=0.8 * width,
                showfliers=False,
                showcaps=False,
                patch_artist=True,
                manage_ticks=False,
                boxprops={"facecolor": style.colour, "edgecolor": style.colour, "linewidth": 0.4},
                medianprops={"color": "white", "linewidth": 0.8},
                whiskerprops={"color": style.colour, "linewidth": 0.6},
            )
        degrees = of_kind.drop_duplicates("place").set_index("place")["degree"].sort_index()
        labels = ["none" if index == 0 else f"{degree:g}" for index, degree in degrees.items()]
        axis.set_xticks(degrees.index, labels)
        axis.set_title(kind_label(kind), loc="left")
        axis.set_ylabel(boxed.label)
        if boxed.logarithmic:
            axis.set_yscale("symlog", linthresh=SMALLEST if boxed.structure == ALL else 0.1)
            axis.set_ylim(bottom=0)
    add_method_legend(figure, methods, styles)
    return figure
