"""Checks and proper scores of predicted class probabilities, voxel by voxel."""

import numpy as np
from numpy.typing import NDArray

from cardiouq.errors import CardiouqError

SUM_TOLERANCE = 1e-3
"""Largest error of a sum of probabilities stored as float16: twice what rounding does."""
SMALLEST = 2.0**-24
"""Smallest positive float16; a stored 0 stands for anything below, and counts as this."""

Floats = NDArray[np.float64]


def check_probabilities(
    probabilities: NDArray[np.floating], reference: NDArray[np.integer]
) -> None:
    """Refuse what are no probabilities (classes, ...) of the classes of a reference (...)."""
    if probabilities.shape[1:] != reference.shape:
        raise CardiouqError(
            f"probabilities of shape {probabilities.shape} (classes, slices, rows, columns) do "
            f"not fit a reference of shape {reference.shape}; predict this case again"
        )
    classes = len(probabilities)
    if int(reference.max(initial=0)) >= classes or int(reference.min(initial=0)) < 0:
        raise CardiouqError(
            f"the reference holds labels {np.unique(reference).tolist()}; expected only "
            f"{list(range(classes))}; mend the label file"
        )
    if not np.isfinite(probabilities).all():
        raise CardiouqError("probabilities are NaN or infinite; check the run's training loss")
    if probabilities.min(initial=0) < 0:
        raise CardiouqError(
            f"probabilities go down to {probabilities.min():.3g}; expected 0 to 1; predict this "
            "case again"
        )
    sums = probabilities.sum(0, dtype=np.float64)
    worst = float(sums.flat[np.abs(sums - 1).argmax()]) if sums.size else 1.0
    if abs(worst - 1) > SUM_TOLERANCE:
        raise CardiouqError(
            f"probabilities of a voxel sum to {worst:.4g}; expected 1; predict this case again"
        )


def negative_log_likelihood(
    probabilities: NDArray[np.floating], reference: NDArray[np.integer]
) -> Floats:
    """-ln p of the reference's class at each voxel, in nats, from 0 (best) to 24 ln 2.

    Args:
        probabilities: (classes, ...).
        reference: (...) labels.

    Returns:
        (...), of which NLL is the mean.
    """
    of_reference = np.take_along_axis(probabilities, reference[None].astype(np.intp), 0)[0]
    nll: Floats = -np.log(np.clip(of_reference.astype(np.float64), SMALLEST, 1))
    return nll


def brier_score(probabilities: NDArray[np.floating], reference: NDArray[np.integer]) -> Floats:
    """Sum over classes of (p - [is the reference's class])^2 at each voxel, from 0 (best) to 2.

    So has it Brier (Monthly Weather Review 1950) for several classes. Arguments and result as of
    `negative_log_likelihood`.
    """
    score = np.zeros(reference.shape)
    for label, probability in enumerate(probabilities):
        score += np.square(probability.astype(np.float64) - (reference == label))
    return score
