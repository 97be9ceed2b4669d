"""Top-label calibration in the region of the heart (Zhao et al., MICCAI 2022, Section 3.2)."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cardiouq.errors import CardiouqError

Box = tuple[slice, slice, slice]


def confidence_bins(
    probabilities: NDArray[np.floating],
    reference: NDArray[np.integer],
    *,
    bins: int = 100,
    box: Literal["reference", "prediction"] = "reference",
    margin: int = 0,
) -> pd.DataFrame:
    """Sum up confidence and correctness of a volume's voxels by bins of confidence.

    A voxel's confidence is the probability of its most probable class, background included; bin s
    of n holds confidences in ((s - 1)/n, s/n]. Only voxels in the bounding box of all foreground
    classes count, since the background far from the heart is trivially right.

    Args:
        probabilities: (classes, slices, rows, columns), of any float type.
        reference: labels (slices, rows, columns).
        bins: number of bins.
        box: whose foreground is boxed. If it has none, the whole volume counts.
        margin: voxels by which the box grows on every side of all three axes, as far as the
            volume reaches.

    Returns:
        Rows of bin (1 to `bins`), voxels (count), confidence and correct (sums over the bin's
        voxels); bins without voxels are left out.

    Raises:
        CardiouqError: shapes that do not match, or probabilities that are not finite.
    """
    if probabilities.shape[1:] != reference.shape:
        raise CardiouqError(
            f"probabilities of shape {probabilities.shape} (classes, slices, rows, columns) do "
            f"not fit a reference of shape {reference.shape}; predict this case again"
        )
    mask = reference > 0 if box == "reference" else probabilities.argmax(0) > 0
    region = foreground_box(mask, margin)
    inside = probabilities[:, *region]
    # Compared in double precision, float16 values fall on the right side of every bin's edge.
    confidence = inside.max(0).astype(np.float64).ravel()
    if not np.isfinite(confidence).all():
        raise CardiouqError("probabilities are NaN or infinite; check the run's training loss")
    correct = (inside.argmax(0) == reference[region]).ravel()
    upper_edges = np.arange(1, bins + 1) / bins
    # A mean of rounded probabilities may exceed 1 by a rounding error: the last bin has it.
    index = np.minimum(np.searchsorted(upper_edges, confidence, side="left"), bins - 1)
    voxels = np.bincount(index, minlength=bins)
    table = pd.DataFrame(
        {
            "bin": np.arange(1, bins + 1),
            "voxels": voxels,
            "confidence": np.bincount(index, confidence, bins),
            "correct": np.bincount(index, correct, bins).astype(np.int64),
        }
    )
    return table[voxels > 0].reset_index(drop=True)


def foreground_box(mask: NDArray[np.bool_], margin: int) -> Box:
    """Bounding box of a (slices, rows, columns) mask, grown by `margin` voxels on every side and
    cut to the volume; the whole volume if the mask is empty."""
    if not mask.any():
        return slice(None), slice(None), slice(None)

    def extent(axis: int) -> slice:
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        return slice(max(0, int(occupied[0]) - margin), int(occupied[-1]) + 1 + margin)

    return extent(0), extent(1), extent(2)


def expected_calibration_error_of_bins(
    bins: pd.DataFrame, pool: Literal["voxels", "volumes"]
) -> float:
    """Expected calibration error, as a fraction, of one method on one test set.

    The absolute difference of accuracy and mean confidence per bin, averaged over the bins by
    their share of voxels.

    Args:
        bins: rows of case, bin, voxels, confidence and correct, as `confidence_bins` gives them.
        pool: "voxels" sums the bins over all cases first, so that large hearts weigh more and
            over- and underconfident cases can cancel; "volumes" is the mean of each case's error.

    Raises:
        CardiouqError: there are no bins.
    """
    if bins.empty:
        raise CardiouqError("a calibration error needs bins; found none; run the evaluation again")
    if pool == "volumes":
        errors = [
            expected_calibration_error_of_bins(of_case, "voxels")
            for _, of_case in bins.groupby("case")
        ]
        return float(np.mean(errors))
    sums = bins[["voxels", "confidence", "correct"]].groupby(bins["bin"]).sum()
    # voxels/total * |correct/voxels - confidence/voxels|: the bin's voxels cancel
    return float((sums["correct"] - sums["confidence"]).abs().sum() / sums["voxels"].sum())
