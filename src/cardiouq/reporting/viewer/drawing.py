"""Slices for a browser: pictures as data URIs, outlines as SVG paths."""

from typing import Any

import numpy as np
from contourpy import contour_generator
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from cardiouq.reporting.embedded import data_uri
from cardiouq.structures import N_CLASSES

MOST_PIXELS = 256
"""Largest side of a picture; a larger slice is shown smaller."""
QUALITY = 80
"""Of a JPEG, up to 95."""
MOST_BITS = float(np.log2(N_CLASSES))
"""The largest entropy that there is, where the scale of the maps ends."""
SHADES = 16
"""Steps of the maps' scale."""

_level = np.linspace(0, 1, SHADES)
# inferno without its black end; more doubt hides more of the scan below
COLOURS = colormaps["inferno"](0.25 + 0.75 * _level, bytes=True)[:, :3]
OPACITIES = np.rint(255 * np.sqrt(_level)).astype(np.uint8)


def css_colours() -> list[str]:
    """The maps' colours from no doubt to the most, as CSS writes them."""
    return [
        f"rgb({red} {green} {blue} / {opacity / 255:.2f})"
        for (red, green, blue), opacity in zip(COLOURS.tolist(), OPACITIES.tolist(), strict=True)
    ]


def outline(mask: NDArray[np.bool_]) -> str:
    """Outline a mask as an SVG path, in half pixels from the corner; empty if the mask is.

    Every pixel's centre is inside if and only if the pixel is of the mask (rule `evenodd`).

    Args:
        mask: (rows, columns).
    """
    if not mask.any():
        return ""
    lines = contour_generator(z=np.pad(mask, 1).astype(float)).lines(0.5)
    # the padded array's pixel i has its centre at i - 0.5
    return "".join(_path(np.rint(2 * np.asarray(line) - 1).astype(int)) for line in lines)


def _path(points: NDArray[np.int_]) -> str:
    """A closed line through points (x, y) of which the last is the first, as relative moves."""
    steps = np.diff(points, axis=0)
    turns = 1 + np.flatnonzero((steps[1:] != steps[:-1]).any(1))
    moves = np.diff(points[[0, *turns, -1]], axis=0)[:-1]  # the last one closes it
    x, y = points[0]
    return f"M{x} {y}l" + " ".join(f"{dx} {dy}" for dx, dy in moves.tolist()) + "z"


def grey_picture(values: NDArray[Any], low: float, high: float) -> str:
    """Show intensities (rows, columns) in grey, from black at `low` to white at `high`."""
    shade = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    picture = _shrunk(Image.fromarray(np.rint(255 * shade).astype(np.uint8)))
    return data_uri(picture, "jpeg", quality=QUALITY, optimize=True)


def map_picture(entropy: NDArray[Any]) -> str:
    """Show entropy in bits, (rows, columns), in the maps' colours; where there is none, nothing."""
    level = np.asarray(_shrunk(Image.fromarray(np.asarray(entropy, np.float32)))) / MOST_BITS
    shades = np.rint((SHADES - 1) * np.clip(level, 0, 1)).astype(np.uint8)
    picture = Image.fromarray(shades)
    picture.putpalette(COLOURS.tobytes())
    return data_uri(picture, "png", transparency=OPACITIES.tobytes(), optimize=True)


def _shrunk(picture: Image.Image) -> Image.Image:
    picture.thumbnail((MOST_PIXELS, MOST_PIXELS))
    return picture
