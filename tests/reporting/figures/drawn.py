"""Methods and test sets to draw, and what every figure has to keep."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection, LineCollection, PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from cardiouq.reporting.style import DOUBLE_COLUMN, MethodStyle, save_figure
from tests.reporting import reviewed

Styles = dict[str, MethodStyle]
MULTI = "checkpoint_ensemble_multi"
METHODS = {"vanilla": "Vanilla", MULTI: "Ckpt. Ens. (Multi)"}
ALL_METHODS = reviewed.METHODS
TEST_SETS = {"val": "Phantom (ID)", "A": "Vendor A (OOD)", "B": "Vendor B (OOD)"}
DISTORTED = {
    f"val+noise-{place}": {"of": "val", "kind": "noise", "place": place, "degree": place / 20}
    for place in (1, 2)
}
TALLEST = 9.5
"""Of a figure on a page, inches."""
TOUCHING = 1
"""Pixels by which boxes of texts may reach into one another, as they hold room for descenders."""


def check_saved(figure: Figure, folder: Path) -> None:
    """A figure can be saved, fits a page, and hides nothing."""
    found = list(hidden(figure))
    assert not found, "\n".join(found)
    png, pdf = folder / "figure.png", folder / "figure.pdf"
    save_figure(figure, png, pdf)
    assert pdf.read_bytes().startswith(b"%PDF")
    height, width = matplotlib.image.imread(png).shape[:2]
    assert width <= DOUBLE_COLUMN * 200
    assert height <= TALLEST * 200


def hidden(figure: Figure) -> Iterator[str]:
    """Describe each value outside of its axes, each text outside of the figure or over another.

    Markers count with all of their extent. What is drawn over an image is left out: the image's
    window is chosen, and outlines go on beyond it.
    """
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = {
        text: Text.get_window_extent(text, canvas.get_renderer())
        for text in set(figure.findobj(Text)).difference(*map(_unused_labels, figure.axes))
        if text.get_visible() and text.get_text().strip()
    }
    for text, box in texts.items():
        if not _covers(figure.bbox, box.get_points()):
            yield f"text {text.get_text()!r} leaves the figure"
    for (one, a), (other, b) in combinations(texts.items(), 2):
        if a.padded(-TOUCHING).overlaps(b.padded(-TOUCHING)):
            yield f"text {one.get_text()!r} lies over {other.get_text()!r}"
    for number, axes in enumerate(figure.axes):
        for artist in axes.get_children() if not axes.images else ():
            if not _is_seen(axes, artist):
                yield f"{type(artist).__name__} leaves axes {number}: {artist}"


def _unused_labels(axes: Axes) -> set[Text]:
    """Labels of ticks beyond the ends of an axis, which are not drawn."""
    unused = set()
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                unused |= {tick.label1, tick.label2}
    return unused


def _is_seen(axes: Axes, artist: Artist) -> bool:
    """Whether all of an artist that stands for values lies within its axes."""
    if isinstance(artist, Text | QuadMesh) or artist in (axes.patch, *axes.spines.values()):
        return True  # texts are looked at apart; a mesh is a colour bar's
    margin = 0.0
    if isinstance(artist, Line2D):
        points = artist.get_transform().transform(artist.get_xydata())
        margin = artist.get_markersize() / 2 if artist.get_marker() != "None" else 0.0
    elif isinstance(artist, PathCollection):  # of `scatter`
        points = artist.get_offset_transform().transform(np.ma.filled(artist.get_offsets(), np.nan))
        margin = float(np.sqrt(np.max(artist.get_sizes()))) / 2
    elif isinstance(artist, LineCollection):  # whiskers
        segments = [segment for segment in artist.get_segments() if len(segment)]
        points = artist.get_transform().transform(np.vstack(segments or np.zeros((1, 0, 2))))
    elif isinstance(artist, Patch):
        points = artist.get_path().get_extents(artist.get_transform()).get_points()
    else:
        assert not isinstance(artist, Collection), f"{artist}: its extent is not known"
        return True
    return _covers(axes.bbox, points, margin * axes.figure.dpi / 72)


def _covers(box: Bbox, points: NDArray[np.float64], margin: float = 0.0) -> bool:
    """Whether points in pixels lie within a box, to a pixel, with a margin around each."""
    known = points[np.isfinite(points).all(axis=1)]
    if not len(known):
        return True
    low, high = known.min(axis=0) - margin, known.max(axis=0) + margin
    return bool((low >= box.min - 1).all() and (high <= box.max + 1).all())
