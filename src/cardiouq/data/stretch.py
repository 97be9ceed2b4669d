"""A smooth in-plane stretch around the heart, and its inverse (`docs/distortions.md`)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from cardiouq.errors import CardiouqError
from cardiouq.structures import FOREGROUND, mask_of, values_of

Floats = NDArray[np.float64]
Image = NDArray[np.float32]
Label = NDArray[np.uint8]
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Stretch:
    """An in-plane stretch that fades away from its centre.

    A point x goes to x + degree * t * exp(-|x - centre|^2 / (2 width^2)) * u, where u is the unit
    vector of the direction and t = (x - centre) . u. Lengths along u grow by 1 + degree at the
    centre and grow wherever |t| < width; farther out they shrink, and beyond about 4 widths
    next to nothing moves. Points keep their distance from the line through the centre along u,
    and on each line parallel to it the factor of length is at least 1 - 2 exp(-3/2) degree, so
    below `LIMIT` the map is one to one and smooth in both directions.

    Attributes:
        centre: (y, x) in mm from the middle of the first pixel.
        width: SD of the Gaussian window, in mm.
        angle: of the direction, from the x axis towards the y axis, in radians.
        degree: elongation at the centre.
    """

    centre: tuple[float, float]
    width: float
    angle: float
    degree: float

    LIMIT = math.exp(1.5) / 2
    """Degree from which the map would fold, about 2.24."""
    USUAL_WIDTH = 44.0
    """Median width in mm of `around_heart` over ACDC, for volumes without a heart."""

    def __post_init__(self) -> None:
        """Raises CardiouqError from `LIMIT` on."""
        if self.degree >= self.LIMIT:
            raise CardiouqError(
                f"A stretch of degree {self.degree} folds the image over. "
                f"Choose a degree below {self.LIMIT:.2f}."
            )

    @classmethod
    def around_heart(
        cls, label: Label, spacing: Spacing, *, angle: float, degree: float
    ) -> "Stretch":
        """Centre a stretch on a label's foreground (slices, rows, columns); spacing (z, y, x), mm.

        The window's width is the radius of the disc whose points are as far from its centre as
        the foreground's are from theirs: sqrt(2) times the root mean square. Without foreground
        the centre is the image's.
        """
        pixel = np.array(spacing[1:])
        points = np.argwhere(mask_of(label, FOREGROUND))[:, 1:] * pixel
        if not len(points):
            middle = (np.array(label.shape[1:]) - 1) / 2 * pixel
            return cls((float(middle[0]), float(middle[1])), cls.USUAL_WIDTH, angle, degree)
        centre = points.mean(axis=0)
        # pixels are areas: a uniform one has the variance size^2 / 12 along either side
        square = ((points - centre) ** 2).sum(axis=1).mean() + (pixel**2).sum() / 12
        return cls((float(centre[0]), float(centre[1])), math.sqrt(2 * square), angle, degree)

    def target(self, points: Floats) -> Floats:
        """Map points (2, ...), y and x in mm, to where the stretch moves them."""
        t, across = self._along_and_across(points)
        return self._moved(points, t * (self._ratio(t, across) - 1))

    def source(self, points: Floats) -> Floats:
        """Map points (2, ...), y and x in mm, to where they came from; the inverse of `target`."""
        t, across = self._along_and_across(points)
        # The source is t times a factor between 1 / (1 + degree) and 1, which bisection finds:
        # positions along a line keep their order.
        low, high = np.full_like(t, 1 / (1 + self.degree)), np.ones_like(t)
        for _ in range(50):
            middle = (low + high) / 2
            too_near = middle * self._ratio(middle * t, across) < 1
            low, high = np.where(too_near, middle, low), np.where(too_near, high, middle)
        return self._moved(points, t * (high - 1))

    def image(self, image: Image, spacing: Spacing, *, inverse: bool = False) -> Image:
        """Stretch an image, or undo it, by cubic interpolation in every slice within its range."""
        grid = self._grid(image.shape, spacing, inverse)
        stretched: Image = np.stack(
            [map_coordinates(section, grid, order=3, mode="nearest") for section in image]
        )
        return stretched.clip(image.min(), image.max())

    def label(self, label: Label, spacing: Spacing, *, inverse: bool = False) -> Label:
        """Stretch a label, or undo it; the class with the largest share wins, also `IGNORED`."""
        grid = self._grid(label.shape, spacing, inverse)
        stretched = np.empty_like(label)
        values = values_of(label)
        for section, out in zip(label, stretched, strict=True):
            shares = [
                map_coordinates(
                    (section == value).astype(np.float32), grid, order=1, mode="nearest"
                )
                for value in values
            ]
            out[...] = values[np.argmax(shares, axis=0)]
        return stretched

    def _grid(self, shape: tuple[int, ...], spacing: Spacing, inverse: bool) -> Floats:
        """Index (2, rows, columns) at which each pixel of the result is found."""
        pixel = np.array(spacing[1:])[:, None, None]
        points = np.indices(shape[1:]) * pixel
        found: Floats = (self.target(points) if inverse else self.source(points)) / pixel
        return found

    def _along_and_across(self, points: Floats) -> tuple[Floats, Floats]:
        y, x = (axis - centre for axis, centre in zip(points, self.centre, strict=True))
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return cos * x + sin * y, cos * y - sin * x

    def _ratio(self, t: Floats, across: Floats) -> Floats:
        """Position along the direction after the stretch, over that before."""
        ratio: Floats = 1 + self.degree * np.exp(-(t**2 + across**2) / (2 * self.width**2))
        return ratio

    def _moved(self, points: Floats, shift: Floats) -> Floats:
        return np.stack(
            [points[0] + math.sin(self.angle) * shift, points[1] + math.cos(self.angle) * shift]
        )
