"""Distortions of test scans, on the scan's own grid before normalisation and resampling.

One function per kind, which `distortion` puts into `KINDS`. `docs/distortions.md` has the degrees
and where they come from.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps

import numpy as np
from numpy.polynomial.legendre import leggrid3d
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from cardiouq.data.phantom_signal import add_rician_noise
from cardiouq.errors import CardiouqError
from cardiouq.structures import N_CLASSES

Floats = NDArray[np.float64]
Image = NDArray[np.float32]
Label = NDArray[np.uint8]
Spacing = tuple[float, float, float]
Distortion = Callable[[Image, Label, float, Spacing, np.random.Generator], tuple[Image, Label]]

KINDS: dict[str, Distortion] = {}
"""Every kind by name. Takes image and label (slices, rows, columns), the latter in the project's
order, the degree, spacing (z, y, x) in mm, and the source of every random choice; returns image
and label of the same shape and leaves what it was given as it was. Raises CardiouqError if the
degree is not a number from 0."""


def distort(
    image: Image, label: Label, kind: str, degree: float, spacing: Spacing, seed: int
) -> tuple[Image, Label]:
    """Image and label under one kind of distortion; see `KINDS` for shapes and errors.

    A seed that does not depend on the degree makes degrees comparable: all of them have the same
    noise, direction or field, only more of it. Raises KeyError for an unknown kind.
    """
    return KINDS[kind](image, label, degree, spacing, np.random.default_rng(seed))


def distortion(function: Distortion) -> Distortion:
    """Add a function to `KINDS` under its own name.

    Degree 0 returns what was given: no arithmetic, so every bit is kept whatever the kind does.
    """

    @wraps(function)
    def checked(
        image: Image, label: Label, degree: float, spacing: Spacing, rng: np.random.Generator
    ) -> tuple[Image, Label]:
        if not 0 <= degree < math.inf:
            raise CardiouqError(
                f"Degree {degree} of the distortion {function.__name__} is not a number from 0. "
                "Change it in the study."
            )
        return function(image, label, degree, spacing, rng) if degree else (image, label)

    KINDS[function.__name__] = checked
    return checked


@distortion
def noise(
    image: Image, label: Label, degree: float, spacing: Spacing, rng: np.random.Generator
) -> tuple[Image, Label]:
    """Rician noise; `degree` is the SD of either channel where the volume's range is 0 to 1."""
    low = image.min()
    noisy: Image = low + add_rician_noise(rng, image - low, degree * float(np.ptp(image)))
    return noisy, label


@distortion
def blur(
    image: Image, label: Label, degree: float, spacing: Spacing, rng: np.random.Generator
) -> tuple[Image, Label]:
    """In-plane Gaussian blur; `degree` is its SD in pixels of the scan's own grid."""
    blurred: Image = gaussian_filter(image, (0, degree, degree), mode="nearest")
    return blurred, label


@distortion
def stretch(
    image: Image, label: Label, degree: float, spacing: Spacing, rng: np.random.Generator
) -> tuple[Image, Label]:
    """The heart drawn out along a random in-plane direction; `degree` as in `Stretch`."""
    warp = Stretch.around_heart(label, spacing, angle=rng.uniform(0, np.pi), degree=degree)
    return warp.image(image, spacing), warp.label(label, spacing)


@distortion
def bias_field(
    image: Image, label: Label, degree: float, spacing: Spacing, rng: np.random.Generator
) -> tuple[Image, Label]:
    """Smooth multiplicative field; `degree` is the range of its logarithm over the volume.

    The logarithm is a polynomial of order 3 in the position with random coefficients of the
    Legendre basis (Van Leemput et al., IEEE TMI 1999), 0 on average. MONAI's RandBiasField has
    the same basis, but how strong its field is depends on what it draws.
    """
    reach = max(n * size for n, size in zip(image.shape, spacing, strict=True)) / 2
    z, y, x = (
        (np.arange(n) - (n - 1) / 2) * size / reach
        for n, size in zip(image.shape, spacing, strict=True)
    )
    coefficients = rng.uniform(-1, 1, (4, 4, 4))
    coefficients[np.indices(coefficients.shape).sum(axis=0) > 3] = 0
    log = leggrid3d(z, y, x, coefficients)
    field = np.exp((log - log.mean()) * degree / np.ptp(log))
    return (image * field).astype(np.float32), label


@distortion
def ghosting(
    image: Image, label: Label, degree: float, spacing: Spacing, rng: np.random.Generator
) -> tuple[Image, Label]:
    """Two ghosts a quarter of the field of view away, as periodic motion makes them; `degree` is
    a ghost's intensity over the image's.

    Line k of k-space is multiplied by 1 + 2 degree cos(2 pi k / 4 + phase), and the magnitude
    taken. Phase and phase-encoding direction, rows or columns, are random.
    """
    axis = int(rng.integers(1, 3))
    phase = rng.uniform(0, 2 * np.pi)
    n = image.shape[axis]
    line = np.fft.fftfreq(n, 1 / n).reshape((-1, 1) if axis == 1 else (1, -1))
    ghosts = np.fft.ifft(
        np.fft.fft(image.astype(np.float64), axis=axis)
        * (2 * degree * np.cos(2 * np.pi * line / 4 + phase)),
        axis=axis,
    )
    return np.abs(image + ghosts).astype(np.float32), label


@distortion
def thick_slices(
    image: Image, label: Label, degree: float, spacing: Spacing, rng: np.random.Generator
) -> tuple[Image, Label]:
    """Every slice the mean over a slab of 1 + `degree` times the distance between slices.

    A slice that the slab covers in part counts by that part. Beyond the first and the last slice
    nothing is known: there the mean is over the part of the slab within the volume.
    """
    middle = np.arange(len(image))
    half = (1 + degree) / 2
    top = np.maximum(middle[:, None] - half, middle - 0.5)
    bottom = np.minimum(middle[:, None] + half, middle + 0.5)
    covered = np.clip(bottom - top, 0, None)  # (slabs, slices)
    slabs = np.stack([np.average(image, axis=0, weights=weights) for weights in covered])
    return slabs.astype(np.float32), label


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
    """mm; the median of `around_heart` over ACDC, for volumes without a heart."""

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
        """Centred on the foreground of a label (slices, rows, columns) with spacing (z, y, x) mm.

        The window's width is the radius of the disc whose points are as far from its centre as
        the foreground's are from theirs: sqrt(2) times the root mean square. Without foreground
        the centre is the image's.
        """
        pixel = np.array(spacing[1:])
        points = np.argwhere(label)[:, 1:] * pixel
        if not len(points):
            middle = (np.array(label.shape[1:]) - 1) / 2 * pixel
            return cls((float(middle[0]), float(middle[1])), cls.USUAL_WIDTH, angle, degree)
        centre = points.mean(axis=0)
        # pixels are areas: a uniform one has the variance size^2 / 12 along either side
        square = ((points - centre) ** 2).sum(axis=1).mean() + (pixel**2).sum() / 12
        return cls((float(centre[0]), float(centre[1])), math.sqrt(2 * square), angle, degree)

    def target(self, points: Floats) -> Floats:
        """Where points (2, ...), y and x in mm, go."""
        t, across = self._along_and_across(points)
        return self._moved(points, t * (self._ratio(t, across) - 1))

    def source(self, points: Floats) -> Floats:
        """Where points (2, ...), y and x in mm, come from; the inverse of `target`."""
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
        """Stretched image, by cubic interpolation in every slice; or stretched back."""
        grid = self._grid(image.shape, spacing, inverse)
        return np.stack(
            [map_coordinates(section, grid, order=3, mode="nearest") for section in image]
        )

    def label(self, label: Label, spacing: Spacing, *, inverse: bool = False) -> Label:
        """Stretched label: linear interpolation of each class's indicator, then the class with
        the largest share; or stretched back."""
        grid = self._grid(label.shape, spacing, inverse)
        stretched = np.empty_like(label)
        for section, out in zip(label, stretched, strict=True):
            shares = [
                map_coordinates(
                    (section == value).astype(np.float32), grid, order=1, mode="nearest"
                )
                for value in range(N_CLASSES)
            ]
            out[...] = np.argmax(shares, axis=0)
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
