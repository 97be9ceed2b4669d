"""Style of every figure: one colour per method and structure, print sizes, saving."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.scale import SymmetricalLogScale
from matplotlib.ticker import Locator, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from cardiouq.files.writing import atomic_write
from cardiouq.structures import STRUCTURES

DOUBLE_COLUMN = 7.0
"""Width of a figure over both columns, inches."""

HEART_COLOURS = {"RV": "#4DC3FF", "MYO": "#FFD92F", "LV": "#FF5C8A"}
"""Light colours that stand out from grey-scale images, also to colour-blind readers."""
OTHER_COLOURS = ("#B6E34A", "#FF9E5E", "#C9A0FF", "#5EE6C5", "#FFC2E2")
"""Colours of structures of other names, in turn."""
_spare = itertools.cycle(OTHER_COLOURS)
STRUCTURE_COLOURS = {name: HEART_COLOURS.get(name) or next(_spare) for name in STRUCTURES}

MOST_COLUMNS = 6
"""Largest number of columns of a legend."""
TRAINING_COLOUR, VALIDATION_COLOUR = "#0072B2", "#D55E00"


class MethodStyle(NamedTuple):
    """Colour and marker of the points of a method, or of a test set where rows are methods."""

    colour: str
    marker: str


# For methods without a style; when the colours are used up, they come again with other markers.
SPARE = [
    MethodStyle(colour, marker)
    for marker in "^sDvopX*P<>hd"
    for colour in ("#631A66", "#FFCCB2", "#E377FF", "#7FE0E0")
]


def method_styles(wanted: Mapping[str, Sequence[str | None]]) -> dict[str, MethodStyle]:
    """Style of every method; what is open, or what an earlier method has, is a spare one's.

    Methods that need more spare styles than there are share them.

    Args:
        wanted: colour and marker of all methods of the study in its order (not only of those that a
            figure shows), None where they are open.
    """
    styles: dict[str, MethodStyle] = {}
    spares = itertools.cycle(SPARE)
    for method, (colour, marker) in wanted.items():
        if not (colour and marker):
            spare = next(spares)
            colour, marker = colour or spare.colour, marker or spare.marker
        style = MethodStyle(colour, marker)
        styles[method] = next(spares) if style in styles.values() else style
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
            "text.parse_math": False,  # dollars are dollars
            "pdf.fonttype": 42,  # text stays text: journals refuse Type 3 fonts
        }
    )


def use_log_scale(
    axes: Axes, name: Literal["x", "y"], values: NDArray[np.float64] | None = None
) -> None:
    """Make an axis logarithmic when all is drawn, with plain numbers.

    Where 0 is among the values, the axis begins there and is linear up to the others' lowest
    decade.
    """
    axis = axes.xaxis if name == "x" else axes.yaxis
    axes.set(**{f"{name}scale": "log"})
    low, high = axes.get_xlim() if name == "x" else axes.get_ylim()
    axis.set_major_locator(_ticks_over(np.log10(high / low)))
    if values is not None and (values == 0).any():
        lowest = 10 ** np.floor(np.log10(np.nanmin(values[values > 0], initial=1)))
        axes.set(**{f"{name}scale": SymmetricalLogScale(axis, linthresh=lowest, linscale=0.4)})
        axis.set_view_interval(-0.1 * lowest, high, ignore=True)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(plain_number)


def _ticks_over(decades: float) -> Locator:
    """Where the ticks of a logarithmic axis of so many decades are: some, and not too many."""
    if decades < 0.7:
        return MaxNLocator(3)  # as of a linear axis, which it nearly is
    return LogLocator(subs=(1, 2, 5) if decades < 1 else (1, 3) if decades < 2.5 else (1,))


def plain_number(value: float, position: float = 0) -> str:
    """Write a number of any size without a power of ten; 12k is short for 12,000."""
    if value >= 1000:
        return f"{value / 1000:g}k"
    return np.format_float_positional(value, 3, fractional=False, trim="-")


def markers(looks: Mapping[str, MethodStyle], **options: Any) -> list[Artist]:
    """Markers for a legend, of printed label -> style in order; options are those of `Line2D`."""
    return [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=label, **options)
        for label, (colour, marker) in looks.items()
    ]


def words(text: str) -> Artist:
    """Words for a legend, without a mark, as what the numbers in the panels are."""
    return Line2D([], [], linestyle="none", label=text)


def add_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Add a legend below a figure, of as many columns as have room."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    for columns in range(MOST_COLUMNS, 0, -1):
        legend = figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=columns,
            handlelength=1.0,
            handletextpad=0.5,
            columnspacing=1.2,
        )
        if columns == 1 or legend.get_window_extent(renderer).width <= figure.bbox.width:
            break
        legend.remove()


def figure_of_words(text: str) -> Figure:
    """Say why there is nothing to draw, in the place of a figure."""
    use_style()
    figure = Figure(figsize=(DOUBLE_COLUMN, 0.6))
    figure.text(0, 0.5, text)
    return figure


def save_figure(figure: Figure, png: str | Path, pdf: str | Path) -> None:
    """Write a figure as PNG at 200 dpi and as PDF.

    Times of creation are left out, so that the same numbers give the same bytes.
    """
    with atomic_write(png) as temporary:
        figure.savefig(temporary, format="png", dpi=200, metadata={"Software": None})
    figure.set_layout_engine("none")  # the layout stays, and need not be found again
    with atomic_write(pdf) as temporary:
        figure.savefig(temporary, format="pdf", dpi=300, metadata={"CreationDate": None})
