"""Slices on screen: a case's arrays, the window around the heart, contours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from cardiouq.data.readers.scans import read_image, read_label
from cardiouq.errors import CardiouqError
from cardiouq.reporting.style import STRUCTURE_COLOURS, words
from cardiouq.structures import FOREGROUND, label_of, mask_of


@dataclass(frozen=True)
class Scan:
    """Image and reference of a case.

    Attributes:
        image: intensities, (slices, rows, columns).
        reference: labels, (slices, rows, columns), `IGNORED` where nobody annotated.
        spacing: of rows and columns, mm.
        phase: ED or ES.
        subject: as in the case table.
    """

    image: NDArray[np.float32]
    reference: NDArray[np.uint8]
    spacing: tuple[float, float]
    phase: str
    subject: str


def load_scan(cases: pd.DataFrame, case: str) -> Scan:
    """Read the image and the reference of one row of the case table.

    Raises:
        CardiouqError: the table has no such case.
    """
    rows = cases[cases["case"] == case]
    if rows.empty:
        raise CardiouqError(f"case {case} has scores but is not in the case table; run data again")
    row: Any = next(rows.itertuples())
    return Scan(
        read_image(row), read_label(row), (row.spacing_y, row.spacing_x), row.phase, row.subject
    )


def middle_slice(reference: NDArray[Any]) -> int:
    """Position of the slice in the middle of those with a label, or else of all."""
    labelled = np.flatnonzero(mask_of(reference, FOREGROUND).any((1, 2)))
    shown = labelled if len(labelled) else np.arange(len(reference))
    return int(shown[len(shown) // 2])


@dataclass(frozen=True)
class Window:
    """Square part of the slices, for display only.

    Attributes:
        rows, columns: the part of the array that lies in the square.
        limits: the square's left, right, bottom and top edge in mm; it may reach beyond the array.
        spacing: of rows and columns, mm.
    """

    rows: slice
    columns: slice
    limits: tuple[float, float, float, float]
    spacing: tuple[float, float]

    @classmethod
    def around(
        cls, reference: NDArray[Any], spacing: tuple[float, float], margin: float = 20.0
    ) -> "Window":
        """Square around the foreground of a slice's reference with a margin in mm, or the slice."""
        edges = []
        for axis, step in enumerate(spacing):
            hit = np.flatnonzero(mask_of(reference, FOREGROUND).any(axis=1 - axis))
            first, last = (hit[0], hit[-1]) if len(hit) else (0, reference.shape[axis] - 1)
            edges.append((first * step, (last + 1) * step))
        half = max(high - low for low, high in edges) / 2 + margin
        (top, bottom), (left, right) = (
            (sum(edge) / 2 - half, sum(edge) / 2 + half) for edge in edges
        )
        rows, columns = (
            slice(max(0, int(low / step)), min(size, int(np.ceil(high / step))))
            for low, high, step, size in zip(
                (top, left), (bottom, right), spacing, reference.shape, strict=True
            )
        )
        return cls(rows, columns, (left, right, bottom, top), spacing)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Corners where matplotlib's `imshow` puts the part of the array, in mm."""
        dy, dx = self.spacing
        return (
            self.columns.start * dx,
            self.columns.stop * dx,
            self.rows.stop * dy,
            self.rows.start * dy,
        )

    def show(self, axes: Axes, values: NDArray[Any], **options: Any) -> AxesImage:
        """Draw one slice's values; options are those of `imshow`."""
        part = values[self.rows, self.columns]
        shown = axes.imshow(part, extent=self.extent, **options)
        left, right, bottom, top = self.limits
        axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
        axes.set_facecolor("black")
        axes.spines[:].set_visible(False)
        return shown

    def show_image(self, axes: Axes, image: NDArray[Any]) -> None:
        """Draw one slice's intensities in grey, from the 1st to the 99.5th percentile inside."""
        low, high = np.percentile(image[self.rows, self.columns], (1, 99.5))
        self.show(axes, image, cmap="gray", vmin=low, vmax=high, interpolation="bilinear")

    def draw_contours(self, axes: Axes, labels: NDArray[Any], linewidth: float = 0.8) -> None:
        """Draw the outline of every structure in one slice, with a line width in points.

        Each is drawn inside of its structure, so that none covers that of a neighbour.
        """
        part = np.pad(labels[self.rows, self.columns], 1)
        y = (np.arange(part.shape[0]) + self.rows.start - 0.5) * self.spacing[0]
        x = (np.arange(part.shape[1]) + self.columns.start - 0.5) * self.spacing[1]
        for structure, colour in STRUCTURE_COLOURS.items():
            mask = part == label_of(structure)
            if mask.any():
                outline = axes.contour(x, y, mask, [0.5], colors=colour, linewidths=2 * linewidth)
                # of the line's width the inner half stays
                outline.set_clip_path(outline.get_paths()[0], axes.transData)


def name_panel(axes: Axes, text: str, size: float = 6) -> None:
    """Write a few words into a panel's lower left corner, readable on any image; size in points."""
    axes.text(
        0.04,
        0.04,
        text,
        transform=axes.transAxes,
        color="white",
        fontsize=size,
        bbox={"facecolor": "black", "alpha": 0.55, "pad": 1, "linewidth": 0},
    )


def dense_layout() -> ConstrainedLayoutEngine:
    """Layout that leaves hardly any space between images."""
    return ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.04, wspace=0, hspace=0)


def pack_panels(figure: Figure, left: float, bottom: float, top: float) -> None:
    """Put a figure's panels next to one another, within margins in inches, up to the right edge.

    By hand, as matplotlib's layouts leave gaps between so many images.
    """
    width, height = figure.get_size_inches()
    figure.subplots_adjust(
        left=left / width,
        right=1,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=0.03,
        hspace=0.03,
    )


def add_structure_legend(figure: Figure, loc: str, numbers: str = "") -> None:
    """Add a legend of the contours' colours, and of what the numbers in the panels are.

    Args:
        loc: as of matplotlib's `legend`.
        numbers: in words; nothing if there are none.
    """
    handles: list[Artist] = [
        Line2D([], [], color=colour, linewidth=2, label=structure)
        for structure, colour in STRUCTURE_COLOURS.items()
    ]
    if numbers:
        handles.append(words(f"Numbers: {numbers}"))
    figure.legend(
        handles=handles,
        loc=loc,
        ncols=len(handles),
        handlelength=1.2,
        columnspacing=1.0,
        borderaxespad=0.1,
    )
