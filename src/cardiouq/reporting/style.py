"""How every figure looks: one colour per method and structure, print sizes, saving."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

from cardiouq.files import written_whole

SINGLE_COLUMN = 3.5
"""Width of a figure in one column of a two-column page, inches."""
DOUBLE_COLUMN = 7.0
"""Width of a figure over both columns, inches."""

STRUCTURE_COLOURS = {"RV": "#4DC3FF", "MYO": "#FFD92F", "LV": "#FF5C8A"}
"""Light colours that stand out from grey-scale images, also to colour-blind readers."""

TRAINING_COLOUR, VALIDATION_COLOUR = "#0072B2", "#D55E00"


class LineStyle(NamedTuple):
    """How a method's line is drawn."""

    colour: str
    dashes: str | tuple[int, tuple[int, ...]]
    marker: str

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of matplotlib's `plot`."""
        return {"color": self.colour, "linestyle": self.dashes, "marker": self.marker}


LONG_DASHES, DASH_DOTS = (0, (7, 2)), (0, (4, 1, 1, 1, 1, 1))

# Okabe and Ito's colours, told apart with the common forms of colour blindness. Methods that share
# weights have near styles: Vanilla and its temperature, the two checkpoint ensembles.
KNOWN = {
    "vanilla": LineStyle("#000000", "-", "o"),
    "temperature_scaling": LineStyle("#7A7A7A", "--", "s"),
    "swa": LineStyle("#E69F00", "-.", "^"),
    "mc_dropout": LineStyle("#009E73", LONG_DASHES, "v"),
    "deep_ensemble": LineStyle("#0072B2", "-", "D"),
    "checkpoint_ensemble_single": LineStyle("#CC79A7", "--", "P"),
    "checkpoint_ensemble_multi": LineStyle("#D55E00", "-", "X"),
}
# Sky blue, wine, olive and indigo (the last three from Tol's muted scheme) for other methods; when
# these are used up, they come again in other dashes.
SPARE = [
    LineStyle(colour, dashes, marker)
    for dashes, marker in (("-", "<"), ("--", ">"), (":", "*"), (DASH_DOTS, "p"))
    for colour in ("#56B4E9", "#882255", "#999933", "#332288")
]


def method_styles(methods: Sequence[str]) -> dict[str, LineStyle]:
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


def save_figure(figure: Figure, png: str | Path, pdf: str | Path) -> None:
    """Write a figure as PNG at 200 dpi and as PDF.

    Times of creation are left out, so that the same numbers give the same bytes.
    """
    with written_whole(png) as temporary:
        figure.savefig(temporary, format="png", dpi=200, metadata={"Software": None})
    figure.set_layout_engine("none")  # the layout stays, and need not be found again
    with written_whole(pdf) as temporary:
        figure.savefig(temporary, format="pdf", dpi=300, metadata={"CreationDate": None})
