"""Bootstrap over subjects, whose resamples all methods share.

A subject's volumes and slices stay together, since they are not independent. A resample is written
as weights: how often each case was drawn. Every statistic of the evaluation takes such weights and
treats all resamples at once, the sample itself (all weights 1) among them as the first, so that a
number and its interval come from the same code. As all methods meet the same resamples,
differences between methods and their ranks have intervals too.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from cardiouq.seeds import derive

Floats = NDArray[np.float64]
Weights = NDArray[np.float64]
FEWEST_SUBJECTS = 6
"""Subjects from which on methods are told apart: p of Wilcoxon's test is at least 2 / 2^n, and
intervals of fewer subjects hold the truth far less often than they promise."""
MOST_WITHOUT = 0.1
"""Share of the resamples that may be without a number; of more there is no interval."""


def subject_weights(
    subjects: Sequence[str] | NDArray[np.str_], resamples: int, seed: int
) -> Weights:
    """Count how often each case is drawn when subjects are drawn with replacement.

    Args:
        subjects: the subject of each case.
        resamples: number of resamples.

    Returns:
        (1 + resamples, cases); the first row is all ones.
    """
    names, of_case = np.unique(np.asarray(subjects, str), return_inverse=True)
    rng = np.random.default_rng(derive(seed, "bootstrap"))
    equally = np.full(len(names), 1 / len(names))
    drawn = rng.multinomial(len(names), equally, size=resamples)
    return np.concatenate([np.ones((1, len(names))), drawn])[:, of_case].astype(
        np.float64, copy=False
    )


def weighted_mean(values: Floats, weights: Weights) -> Floats:
    """Mean of the cases' values (cases,) in each resample, (resamples,)."""
    means: Floats = weights @ values / weights.sum(1)
    return means


def intervals(statistics: Floats, confidence: float, subjects: int) -> Floats:
    """Expanded percentile intervals of statistics, (2, n): their low and their high ends.

    Percentiles of resamples of few subjects are too narrow, as the resamples vary less than samples
    do, and are normal where a t distribution is due. They are taken further out, so far as makes up
    for both in a mean of normal values (Hesterberg, The American Statistician 2015).

    Args:
        statistics: (n, 1 + resamples), of the sample itself first; NaN in resamples that have no
            number, which are left out, up to `MOST_WITHOUT` of them.
        confidence: such as 0.95.
        subjects: how many were resampled; all resamples of one are alike, so it has no interval,
            and NaN stands there.
    """
    if subjects < 2:
        return np.full((2, len(statistics)), np.nan)
    tail = expanded_tail((1 - confidence) / 2, subjects)
    resampled = statistics[:, 1:]
    without = np.isnan(resampled).mean(1)
    if not without.any():
        return np.quantile(resampled, [tail, 1 - tail], axis=1)
    ends = np.full((2, len(statistics)), np.nan)
    few = without <= MOST_WITHOUT
    ends[:, few] = np.nanquantile(resampled[few], [tail, 1 - tail], axis=1)
    return ends


def expanded_tail(tail: float, subjects: int) -> float:
    """The share of resamples beyond each end of an interval, for a nominal one such as 0.025."""
    times_standard_error = stdtrit(subjects - 1, tail) * np.sqrt(subjects / (subjects - 1))
    return float(ndtr(times_standard_error))
