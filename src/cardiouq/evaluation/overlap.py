"""Overlap of two masks."""

import numpy as np
from numpy.typing import NDArray


def dice(prediction: NDArray[np.bool_], reference: NDArray[np.bool_]) -> float:
    """Dice coefficient 2 |P and R| / (|P| + |R|) of two masks of one shape.

    Two empty masks agree: 1. One empty mask gives 0, so that a missed or an invented structure
    counts as the failure it is and does not vanish from a mean.
    """
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return 2 * np.count_nonzero(prediction & reference) / total if total else 1.0
