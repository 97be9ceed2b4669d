"""Pictures and outlines say what the arrays say."""

import base64
import io
import re

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from numpy.typing import NDArray
from PIL import Image

from cardiouq.reporting.viewer.drawing import (
    COLOURS,
    MOST_BITS,
    MOST_PIXELS,
    OPACITIES,
    SHADES,
    css_colours,
    grey_picture,
    map_picture,
    outline,
)


def inside(path: str, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centres are inside a path of `outline`, by the rule `evenodd`."""
    rows, columns = np.indices(shape)
    centres = np.column_stack([columns.ravel(), rows.ravel()]) + 0.5
    filled = np.zeros(shape, bool)
    for start, moves in re.findall(r"M([\d -]+)l([\d -]+)z", path):
        steps = [np.array(text.split(), int).reshape(-1, 2) for text in (start, moves)]
        points = np.cumsum(np.concatenate(steps), axis=0) / 2
        filled ^= Polygon(points).contains_points(centres).reshape(shape)
    return filled


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_outline_filled_again_is_the_mask(share: float) -> None:
    mask = np.random.default_rng(3).random((23, 31)) < share
    assert mask[0].any()  # at the edge, too
    np.testing.assert_array_equal(inside(outline(mask), mask.shape), mask)


def test_outline_of_a_ring_has_its_hole_and_no_needless_point() -> None:
    rows, columns = np.indices((40, 40))
    distance = np.hypot(rows - 20, columns - 20)
    ring = (distance < 15) & (distance > 8)
    path = outline(ring)
    np.testing.assert_array_equal(inside(path, ring.shape), ring)
    assert path.count("M") == 2
    square = np.zeros((40, 40), bool)
    square[5:30, 10:35] = True
    assert outline(square).count(" ") < 20  # four sides and four corners


def test_outline_of_nothing_is_empty() -> None:
    assert outline(np.zeros((5, 6), bool)) == ""


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


def test_grey_runs_from_low_to_high() -> None:
    values = np.repeat(np.linspace(-50.0, 150.0, 96)[None], 64, axis=0)
    picture = np.asarray(opened(grey_picture(values, 0, 100)), float)
    assert picture.shape == values.shape
    np.testing.assert_allclose(picture, 255 * np.clip(values / 100, 0, 1), atol=6)  # it is a JPEG


def test_flat_slice_has_a_picture() -> None:
    assert opened(grey_picture(np.full((8, 8), 7.0), 7, 7)).size == (8, 8)


def test_map_has_one_scale_and_shows_nothing_where_there_is_no_doubt() -> None:
    entropy = np.zeros((20, 30), np.float32)
    entropy[5, 6] = MOST_BITS
    entropy[7, 8] = MOST_BITS / 2
    picture = np.asarray(opened(map_picture(entropy)).convert("RGBA"))
    assert picture[0, 0, 3] == 0
    assert picture[5, 6].tolist() == [*COLOURS[-1], 255]
    half = round((SHADES - 1) / 2)
    assert picture[7, 8].tolist() == [*COLOURS[half], OPACITIES[half]]
    assert len(css_colours()) == SHADES
    red, green, blue = COLOURS[-1]
    assert css_colours()[-1] == f"rgb({red} {green} {blue} / 1.00)"


def test_large_slice_is_shown_smaller() -> None:
    wide = np.ones((512, 384), np.float32)
    assert opened(grey_picture(wide, 0, 1)).size == (MOST_PIXELS * 3 // 4, MOST_PIXELS)
    assert opened(map_picture(wide)).size == (MOST_PIXELS * 3 // 4, MOST_PIXELS)
