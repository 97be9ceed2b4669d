"""The one policy for masks without a voxel: a failure stays in every mean, at its worst value.

Two empty masks agree perfectly. If only one is empty, a structure was missed or invented: overlaps
are 0 and distances the diagonal of the image, the largest that the image could hold. How often
either happened is a column of every table.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def settle_empty(
    values: NDArray[np.float64],
    prediction_sizes: NDArray[np.integer],
    reference_sizes: NDArray[np.integer],
    *,
    perfect: float,
    worst: float,
) -> NDArray[np.float64]:
    """Replace `values` of pairs with empty masks: `perfect` if both are empty, `worst` if one is.

    Args:
        values: (pairs,) a metric, of any value where a mask is empty.
        prediction_sizes, reference_sizes: (pairs,) voxels in each mask.
        perfect, worst: the metric's values for full agreement and for full disagreement.
    """
    no_prediction, no_reference = prediction_sizes == 0, reference_sizes == 0
    settled = np.where(no_prediction | no_reference, worst, values)
    return np.where(no_prediction & no_reference, perfect, settled)


def mask_sizes(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Voxels in each mask (n, ...), (n,); one call a mask is faster than one over all axes."""
    return np.array([np.count_nonzero(mask) for mask in masks], np.int64)


def diagonal_mm(shape: Sequence[int], spacing: Sequence[float]) -> float:
    """Distance in mm of the centres of an image's opposite corners, the worst distance in it."""
    return math.dist([0] * len(shape), [(n - 1) * s for n, s in zip(shape, spacing, strict=True)])
