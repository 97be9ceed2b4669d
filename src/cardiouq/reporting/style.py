"""Style of every figure: one colour per method and structure, print sizes, saving."""

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

from cardiouq.files.writing import atomic_write
from cardiouq.structures import STRUCTURES

SINGLE_COLUMN = 3.5
"""Width of a figure in one column of a two-column page, inches."""
DOUBLE_COLUMN = 7.0
"""Width of a figure over both columns, inches."""

HEART_COLOURS = {"RV": "#4DC3FF", "MYO": "#FFD92F", "LV": "#FF5C8A"}
"""Light colours that stand out from grey-scale images, also to colour-blind readers."""
OTHER_COLOURS = ("#B6E34A", "#FF9E5E", "#C9A0FF", "#5EE6C5", "#FFC2E2")
"""Colours of structures of other names, in turn."""
_spare = itertools.cycle(OTHER_COLOURS)
STRUCTURE_COLOURS = {name: HEART_COLOURS.get(name) or next(_spare) for name in STRUCTURES}

TRAINING_COLOUR, VALIDATION_COLOUR = "#0072B2", "#D55E00"


class MethodStyle(NamedTuple):
    """Colour and marker of a method's points."""

    colour: str
    marker: str


# For methods without a style; when the colours are used up, they come again with other markers.
SPARE = [
    MethodStyle(colour, marker)
    for marker in ("^", "s", "D", "v")
    for colour in ("#631A66", "#FFCCB2", "#E377FF", "#7FE0E0")
]


def method_styles(wanted: Mapping[str, Sequence[str | None]]) -> dict[str, MethodStyle]:
    """Style of every method; what is open, or what an earlier method has, is a spare one's.

    Args:
        wanted: colour and marker of all methods of the study in its order (not only of those that a
            figure shows), None where they are open.

    Raises:
        ValueError: more spare styles are asked for than there are.
    """
    styles: dict[str, MethodStyle] = {}
    spares = iter(SPARE)
    try:
        for method, (colour, marker) in wanted.items():
            if not (colour and marker):
                spare = next(spares)
                colour, marker = colour or spare.colour, marker or spare.marker
            style = MethodStyle(colour, marker)
            styles[method] = next(spares) if style in styles.values() else style
    except StopIteration:
        raise ValueError(f"more than {len(SPARE)} methods without a style of their own") from None
    return styles


def sequence_colours(count: int) -> list[str]:
    """Colours of things in an order, such as cycles: viridis without its pale end."""
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


def add_method_legend(
    figure: Figure, methods: Mapping[str, str], styles: Mapping[str, MethodStyle]
) -> None:
    """Add a legend of the methods below a figure; `methods` is key -> printed label, in order."""
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
    with atomic_write(png) as temporary:
        figure.savefig(temporary, format="png", dpi=200, metadata={"Software": None})
    figure.set_layout_engine("none")  # the layout stays, and need not be found again
    with atomic_write(pdf) as temporary:
        figure.savefig(temporary, format="pdf", dpi=300, metadata={"CreationDate": None})
