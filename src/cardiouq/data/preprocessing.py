"""Preprocessing of a scan to the array that networks see.

That is a z-score, in-plane resampling to the plan's grid and, if the plan says so, a crop of each
slice. None of it looks at the label, so test scans are treated as a new scan would be.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, zoom

from cardiouq.data.plan import Plan
from cardiouq.data.readers.scans import Case, read_image, read_label
from cardiouq.errors import CardiouqError
from cardiouq.structures import IGNORE, IGNORED, values_of

ARRAYS_VERSION = 2
"""Version of what the arrays hold; with another one all scans are preprocessed and predicted anew.
"""


def nonzero_box(image: NDArray[np.float32]) -> tuple[slice, ...]:
    """Place of what is not zero in a volume, the borders that a scanner filled left out."""
    found = find_objects((image != 0).astype(np.uint8))
    box: tuple[slice, ...] = found[0] if found else tuple(slice(0, edge) for edge in image.shape)
    return box


def normalise(
    image: NDArray[np.float32],
    intensity: tuple[float, float] | None = None,
    box: tuple[slice, ...] | None = None,
) -> NDArray[np.float32]:
    """Normalise a volume by a plan's `intensity` or, as nnU-Net, by its own mean and SD.

    Those are of a box, if none is given of what is not zero: half of a scan of M&Ms may be a border
    of zeros.
    """
    if intensity is None:
        inside = image[box or nonzero_box(image)]
        intensity = float(inside.mean()), max(float(inside.std()), 1e-8)
    offset, divisor = intensity
    normalised: NDArray[np.float32] = (image - np.float32(offset)) / np.float32(divisor)
    return normalised


def training_intensity(cases: Iterable[Case], normalisation: str) -> tuple[float, float] | None:
    """Derive a plan's `intensity` from the training scans.

    Ng et al. (IEEE TBME 2022) subtract the mean of the training set and, as it is printed, divide
    by its variance.

    Args:
        cases: the training scans.
        normalisation: `volume` (each its own: None), `training_sd` or `training_variance`, over
            the pixels of all scans together.
    """
    if normalisation == "volume":
        return None
    count, total, squares = 0, 0.0, 0.0
    for case in cases:
        image = read_image(case).astype(np.float64)
        count += image.size
        total += float(image.sum())
        squares += float(np.square(image).sum())
    mean = total / count
    variance = squares / count - mean**2
    return mean, variance if normalisation == "training_variance" else variance**0.5


def resampled_shape(
    shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]
) -> tuple[int, int]:
    """In-plane (rows, columns) after resampling from `spacing` to `target`, both (y, x) in mm."""
    rows, columns = (
        max(1, round(n * s / t)) for n, s, t in zip(shape, spacing, target, strict=True)
    )
    return rows, columns


def resample_image(image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Resample every slice of (slices, rows, columns) to `shape`, by cubic interpolation."""
    return _zoom(image, shape, order=3)


def resample_label(label: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Resample each class's indicator linearly, and take the largest; `IGNORED` counts as one."""
    values = values_of(label)
    shares = [_zoom((label == value).astype(np.float32), shape, order=1) for value in values]
    label_on_grid: NDArray[np.uint8] = values[np.argmax(shares, axis=0)]
    return label_on_grid


def _zoom(volume: NDArray[np.float32], shape: tuple[int, int], order: int) -> NDArray[np.float32]:
    factors = (1.0, shape[0] / volume.shape[1], shape[1] / volume.shape[2])
    if factors == (1.0, 1.0, 1.0):
        return volume
    # grid_mode: pixels are areas, so the field of view stays where it was
    zoomed: NDArray[np.float32] = zoom(
        volume, factors, order=order, mode="nearest", grid_mode=True, output=np.float32
    )
    return zoomed


def centre_crop(shape: Sequence[int], crop: tuple[int, int] | None) -> tuple[slice, slice]:
    """Rows and columns at the centre of (rows, columns), all that there are of a smaller edge."""
    edges = [min(n, wanted) for n, wanted in zip(shape, crop or shape, strict=True)]
    rows, columns = (
        slice((n - edge) // 2, (n - edge) // 2 + edge) for n, edge in zip(shape, edges, strict=True)
    )
    return rows, columns


def on_plan(
    image: NDArray[np.float32],
    spacing: tuple[float, float],
    plan: Plan,
    box: tuple[slice, ...] | None = None,
) -> NDArray[np.float32]:
    """Bring a scan to a plan's grid and crop.

    Args:
        image: (slices, rows, columns).
        spacing: of its pixels (y, x), in mm.
        plan: whose grid it is.
        box: where it was scanned, and no border was filled; None: where it is not zero.
    """
    normalised = normalise(image, plan.intensity, box)
    shape = resampled_shape(image.shape[1:], spacing, plan.spacing)
    return resample_image(normalised, shape)[(slice(None), *centre_crop(shape, plan.crop))]


def preprocess_case(
    case: Case,
    plan: Plan,
    folder: Path,
    *,
    with_label: bool,
    box: tuple[slice, ...] | None = None,
) -> None:
    """Write a case as memory-mappable arrays (slices, rows, columns) on the plan's grid, cropped.

    They are `<case>_image.npy` float32 and, if asked for, `<case>_label.npy` uint8. A `box` is as
    `on_plan` has it.

    Raises:
        CardiouqError: if nothing of what is learnt from is annotated.
    """
    image, spacing = read_image(case), (case.spacing_y, case.spacing_x)
    np.save(folder / f"{case.case}_image.npy", on_plan(image, spacing, plan, box))
    if with_label:
        shape = resampled_shape(image.shape[1:], spacing, plan.spacing)
        seen = (slice(None), *centre_crop(shape, plan.crop))
        label = resample_label(read_label(case), shape)[seen]
        if (label == IGNORED).all():
            raise CardiouqError(
                f"{case.label}: every voxel is {IGNORE!r} on the plan's grid and in its crop; "
                "expected annotated ones; take the case out, or change `plan`"
            )
        np.save(folder / f"{case.case}_label.npy", label)
