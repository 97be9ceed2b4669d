"""The window around the heart, in millimetres, and the slice in its middle."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from cardiouq.reporting.slices import Window, middle_slice
from cardiouq.reporting.style import STRUCTURE_COLOURS
from cardiouq.structures import IGNORED, label_of


def test_window_is_a_square_around_the_reference() -> None:
    reference = np.zeros((50, 80), int)
    reference[20:30, 30:50] = 1  # 20 x 20 mm at (2, 1) mm
    window = Window.around(reference, spacing=(2.0, 1.0), margin=10)
    assert window.limits == (20, 60, 70, 30)
    assert (window.rows, window.columns) == (slice(15, 35), slice(20, 60))
    assert window.extent == window.limits


def test_window_reaches_beyond_the_slice_but_not_its_array() -> None:
    reference = np.zeros((20, 40), int)
    reference[0:4, 20:24] = 3
    window = Window.around(reference, spacing=(1.0, 1.0), margin=5)
    assert window.limits == (15, 29, 9, -5)
    assert (window.rows, window.columns) == (slice(0, 9), slice(15, 29))


def test_window_without_reference_is_the_whole_slice() -> None:
    window = Window.around(np.zeros((10, 30), int), spacing=(1.0, 1.0), margin=0)
    assert (window.rows, window.columns) == (slice(0, 10), slice(0, 30))


def test_contours_lie_on_the_edges_of_voxels_and_pixels_keep_their_aspect() -> None:
    labels = np.zeros((50, 80), int)
    labels[20:30, 30:50] = 2
    window = Window.around(labels, spacing=(2.0, 1.0), margin=10)
    axes = Figure().subplots()
    window.show_image(axes, np.random.default_rng(0).normal(size=labels.shape))
    window.draw_contours(axes, labels)
    (outline,) = axes.collections[0].get_paths()
    (left, top), (right, bottom) = outline.vertices.min(0), outline.vertices.max(0)
    assert (left, right) == pytest.approx((30, 50))
    assert (top, bottom) == pytest.approx((40, 60))
    assert axes.get_aspect() == 1


def test_what_nobody_annotated_has_no_contour_and_no_window() -> None:
    labels = np.full((40, 40), IGNORED, np.uint8)
    labels[10:14, 20:26] = 0
    window = Window.around(labels, (1.0, 1.0))
    assert (window.rows, window.columns) == (slice(0, 40), slice(0, 40))  # of all, as of nothing
    axes = Figure().add_subplot()
    window.draw_contours(axes, labels)
    assert not axes.collections
    labels[11:13, 21:25] = 2
    window.draw_contours(axes, labels)
    assert len(axes.collections) == 1
    assert Window.around(labels, (1.0, 1.0), 2.0).columns == slice(19, 27)


def test_middle_slice_is_that_of_the_labelled_ones() -> None:
    reference = np.zeros((9, 4, 4))
    assert middle_slice(reference) == 4
    reference[1:4, 1, 1] = 1
    assert middle_slice(reference) == 2
    reference[4:] = IGNORED  # is no label
    assert middle_slice(reference) == 2


def test_outlines_of_neighbours_lie_side_by_side() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[5:15, 4:10] = label_of("RV")
    labels[5:15, 10:16] = label_of("MYO")
    figure = Figure(figsize=(2, 2), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    window = Window.around(labels, (1.0, 1.0), 4.0)
    window.show(axes, np.zeros(labels.shape), cmap="gray", vmin=0, vmax=1)
    window.draw_contours(axes, labels, linewidth=2)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    border, middle = axes.transData.transform((10, 10)).round().astype(int)
    row = np.asarray(canvas.buffer_rgba())[middle, :, :3] / 255
    for pixels, structure in ((row[border - 3 : border], "RV"), (row[border : border + 3], "MYO")):
        distance = np.abs(pixels - to_rgb(STRUCTURE_COLOURS[structure])).max(axis=1)
        assert distance.min() < 0.1
