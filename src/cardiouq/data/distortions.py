"""Distortions of test scans, on the scan's own grid before normalisation and resampling.

One function per kind, which `distortion` puts into `KINDS`. `docs/distortions.md` has the degrees
and where they come from.
"""

import math
from collections.abc import Callable
from functools import wraps

import numpy as np
from numpy.polynomial.legendre import leggrid3d
from scipy.ndimage import gaussian_filter

from cardiouq.data.noise import add_rician_noise
from cardiouq.data.stretch import Image, Label, Spacing, Stretch
from cardiouq.errors import CardiouqError

Distortion = Callable[[Image, Label, float, Spacing, np.random.Generator], tuple[Image, Label]]

KINDS: dict[str, Distortion] = {}
"""Functions that distort, by the name of their kind.

Each takes image and label (slices, rows, columns), the latter in the project's order, the degree,
spacing (z, y, x) in mm and a generator, and returns image and label of the same shape in new
arrays. It raises CardiouqError if the degree is not a number from 0.
"""


def distort(
    image: Image, label: Label, kind: str, degree: float, spacing: Spacing, seed: int
) -> tuple[Image, Label]:
    """Distort an image and its label; see `KINDS` for shapes and errors.

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
    """Add Rician noise; `degree` is the SD of either channel where the volume's range is 0 to 1."""
    low = image.min()
    noisy: Image = low + add_rician_noise(rng, image - low, degree * float(np.ptp(image)))
    return noisy, label


@distortion
def blur(
    image: Image, label: Label, degree: float, spacing: Spacing, rng: np.random.Generator
) -> tuple[Image, Label]:
    """Blur in-plane by a Gaussian; `degree` is its SD in pixels of the scan's own grid."""
    blurred: Image = gaussian_filter(image, (0, degree, degree), mode="nearest")
    return blurred, label


@distortion
def stretch(
    image: Image, label: Label, degree: float, spacing: Spacing, rng: np.random.Generator
) -> tuple[Image, Label]:
    """Stretch the heart along a random in-plane direction; `degree` as in `Stretch`."""
    warp = Stretch.around_heart(label, spacing, angle=rng.uniform(0, np.pi), degree=degree)
    return warp.image(image, spacing), warp.label(label, spacing)


@distortion
def bias_field(
    image: Image, label: Label, degree: float, spacing: Spacing, rng: np.random.Generator
) -> tuple[Image, Label]:
    """Multiply by a smooth field; `degree` is the range of its logarithm over the volume.

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
    """Add two ghosts a quarter of the field of view away, as periodic motion makes them.

    `degree` is a ghost's intensity over the image's. Line k of k-space is multiplied by 1 + 2
    degree cos(2 pi k / 4 + phase), and the magnitude taken. Phase and phase-encoding direction,
    rows or columns, are random.
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
    """Average each slice over a slab of 1 + `degree` times the distance between slices.

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
