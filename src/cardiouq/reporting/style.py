"""How every figure looks: one colour per method and structure, print sizes, saving."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

from cardiouq.files.writing import written_whole
from cardiouq.structures import STRUCTURES

SINGLE_COLUMN = 3.5
"""Width of a figure in one column of a two-column page, inches."""
DOUBLE_COLUMN = 7.0
"""Width of a figure over both columns, inches."""

HEART_COLOURS = {"RV": "#4DC3FF", "MYO": "#FFD92F", "LV": "#FF5C8A"}
"""Light colours that stand out from grey-scale images, also to colour-blind readers."""
OTHER_COLOURS = ("#B6E34A", "#FF9E5E", "#C9A0FF", "#5EE6C5", "#FFC2E2")
"""For structures of other names, in turn."""
_spare = itertools.cycle(OTHER_COLOURS)
STRUCTURE_COLOURS = {name: HEART_COLOURS.get(name) or next(_spare) for name in STRUCTURES}

TRAINING_COLOUR, VALIDATION_COLOUR = "#0072B2", "#D55E00"


class MethodStyle(NamedTuple):
    """How a method's points are drawn."""

    colour: str
    marker: str


# Families share hues: greys for Vanilla's temperatures, greens for dropout, blues for ensembles of
# runs, warm colours for trajectories. Seven are Okabe and Ito's; the others were searched for the
# largest distance from one another in CIELAB, also as colour-blind readers see it.
KNOWN = {
    "vanilla": MethodStyle("#000000", "o"),
    "temperature_scaling": MethodStyle("#7A7A7A", "s"),
    "temperature_fitted": MethodStyle("#C6CACC", "8"),
    "test_time_augmentation": MethodStyle("#4C1908", "h"),
    "swa": MethodStyle("#E69F00", "^"),
    "mc_dropout": MethodStyle("#009E73", "v"),
    "mcd_0_1": MethodStyle("#4CBD71", "<"),
    "mcd_0_5": MethodStyle("#085340", ">"),
    "deep_ensemble": MethodStyle("#0072B2", "D"),
    "cv_ensemble": MethodStyle("#73B9FF", "d"),
    "calibrated_ensemble": MethodStyle("#300F93", "*"),
    "checkpoint_ensemble_single": MethodStyle("#CC79A7", "P"),
    "checkpoint_ensemble_multi": MethodStyle("#D55E00", "X"),
    "hmc_cp": MethodStyle("#B20000", "p"),
    "bbb": MethodStyle("#66753A", "x"),
    "layer_ensemble": MethodStyle("#7130F2", "+"),
    "ssn": MethodStyle("#E6D46D", "H"),
}
# For other methods; when the colours are used up, they come again with other markers.
SPARE = [
    MethodStyle(colour, marker)
    for marker in ("^", "s", "D", "v")
    for colour in ("#631A66", "#FFCCB2", "#E377FF", "#7FE0E0")
]


def method_styles(methods: Sequence[str]) -> dict[str, MethodStyle]:
    """Style of every method; a known method keeps its own in every study and figure.

    Args:
        methods: all methods of the study in its order (not only those that a figure shows).

    Raises:
        ValueError: there are more unknown methods than spare styles.
    """
    others = [method for method in methods if method not in KNOWN]
    if len(others) > len(SPARE):
        raise ValueError(
            f"{len(others)} methods without a style of their own; at most {len(SPARE)}"
        )
    spare = dict(zip(others, SPARE, strict=False))
    return {method: KNOWN.get(method) or spare[method] for method in methods}


def sequence_colours(count: int) -> list[str]:
    """Colours of things in an order, such as cycles and test sets: viridis without its pale end,
    which is hard to see on white."""
    return [to_hex(colormaps["viridis"](0.75 * i / max(1, count - 1))) for i in range(count)]


def use_style() -> None:
    """Set fonts and lines so that labels are readable at print size."""
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(
        {
            "font.size": 8,
            "axes.titlesize": 8,
            "axes.labelsize": 8,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "legend.fontsize": 7,
            "legend.frameon": False,
            "axes.linewidth": 0.6,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": 1.2,
            "lines.markersize": 3.5,
            "pdf.fonttype": 42,  # text stays text: journals refuse Type 3 fonts
        }
    )


def add_method_legend(figure: Figure, methods: Mapping[str, str]) -> None:
    """Name the methods' colours below a figure; `methods` is key -> printed label, in order."""
    styles = method_styles(list(methods))
    figure.legend(
        handles=[Patch(color=styles[m].colour, label=label) for m, label in methods.items()],
        loc="outside lower center",
        ncols=6,
        handlelength=1.0,
        columnspacing=1.0,
    )


def save_figure(figure: Figure, png: str | Path, pdf: str | Path) -> None:
    """Write a figure as PNG at 200 dpi and as PDF.

    Times of creation are left out, so that the same numbers give the same bytes. Dollars are
    dollars: only numbers on logarithmic axes are set as mathematics.
    """
    powers = {
        label
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        if axis.get_scale() == "log"
        for label in axis.get_ticklabels(which="both")
    }
    for text in figure.findobj(Text):
        text.set_parse_math(text in powers)
    with written_whole(png) as temporary:
        figure.savefig(temporary, format="png", dpi=200, metadata={"Software": None})
    figure.set_layout_engine("none")  # the layout stays, and need not be found again
    with written_whole(pdf) as temporary:
        figure.savefig(temporary, format="pdf", dpi=300, metadata={"CreationDate": None})
