"""Overlap of masks: Dice coefficients and agreement of samples."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cardiouq.evaluation.empty_masks import mask_sizes, settle_empty

Masks = NDArray[np.bool_]
Floats = NDArray[np.float64]


def dice(predictions: Masks, references: Masks) -> Floats:
    """Dice coefficient 2 |P and R| / (|P| + |R|) of each pair, (n,) from 0 to 1 (best).

    Args:
        predictions, references: (n, ...); the references may also be one for all, with n = 1.
    """
    sizes = [mask_sizes(masks) for masks in (predictions, references)]
    return _dice_of_counts(mask_sizes(predictions & references), *sizes)


def mean_pairwise_dice(samples: Masks) -> Floats:
    """Mean Dice coefficient of all pairs of different samples, from 0 to 1 (all alike).

    1 if there is only one sample. One matrix product gives the overlap of all pairs.

    Args:
        samples: (samples, n, ...) of n volumes or slices.

    Returns:
        (n,)
    """
    count = len(samples)
    if count == 1:
        return np.ones(samples.shape[1])
    first, second = np.triu_indices(count, 1)
    means = []
    for of_one in np.moveaxis(samples, 1, 0):
        flat = of_one.reshape(count, -1)
        flat = flat[:, flat.any(0)].astype(np.float32)  # exact: counts stay below 2**24
        overlaps = (flat @ flat.T).astype(np.int64)
        sizes = overlaps.diagonal()
        pairs = _dice_of_counts(overlaps[first, second], sizes[first], sizes[second])
        means.append(pairs.mean())
    return np.array(means)


def aula(samples: Masks) -> Floats:
    """Area under the curve of agreement between neighbouring samples, from 0 to 1 (all alike).

    The curve is the Dice coefficient of samples i and i + 1, the area that of its trapezoids
    (AULA: Kushibar et al., MICCAI 2022, for the heads of a network from shallow to deep). It runs
    from 0 to 1, not in steps of 1, so that areas of other numbers of samples compare. 1 if there
    is only one sample; of two it is their Dice.

    Arguments and result as of `mean_pairwise_dice`.
    """
    if len(samples) == 1:
        return np.ones(samples.shape[1])
    agreement = np.stack([dice(one, following) for one, following in pairwise(samples)])
    if len(agreement) == 1:
        return np.asarray(agreement[0])
    return np.asarray(np.trapezoid(agreement, np.linspace(0, 1, len(agreement)), axis=0))


def _dice_of_counts(
    both: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64]
) -> Floats:
    return settle_empty(2 * both / np.maximum(one + other, 1), one, other, perfect=1, worst=0)
