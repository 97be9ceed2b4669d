"""Does uncertainty find the bad segmentations? Measures of a ranking by uncertainty.

Each takes the cases' uncertainties and what they should tell, and for each resample how often each
case was drawn (`resampling`); each gives one number per resample. Cases of equal uncertainty count
as one step, so that no measure depends on the order of the cases. An uncertainty that is the same
for all cases ranks nothing: it gets the value of chance.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.float64]


def spearman(uncertainty: Floats, error: Floats, weights: Weights) -> Floats:
    """Spearman's rank correlation of uncertainty and error, from -1 to 1 (best); 0 if either is
    the same for all cases.

    Args:
        uncertainty, error: (cases,)
        weights: (resamples, cases) how often each case was drawn.

    Returns:
        (resamples,)
    """
    ranks = [_mid_ranks(values, weights) for values in (uncertainty, error)]
    total = weights.sum(1, keepdims=True)
    one, other = (r - (weights * r).sum(1, keepdims=True) / total for r in ranks)
    product = np.sqrt((weights * one**2).sum(1) * (weights * other**2).sum(1))
    covariance = (weights * one * other).sum(1)
    # ranks are multiples of 1/2: less than this is rounding
    correlation: Floats = np.divide(
        covariance, product, out=np.zeros(len(weights)), where=product > 1e-9
    )
    return correlation


def aurc(uncertainty: Floats, risk: Floats, weights: Weights) -> Floats:
    """Area under the risk-coverage curve: the mean risk of the cases that are kept, averaged over
    the share kept, most certain first; from 0 (best) to the largest risk.

    As fd-shifts has it (Jaeger et al., ICLR 2023): trapezoids between the thresholds that occur,
    and to the left of the first one the risk stays. Arguments and result as of `spearman`.
    """
    coverage, kept_risk = _generalised_risk(uncertainty, risk, weights)
    selective = np.divide(
        kept_risk, coverage, out=np.full_like(coverage, np.nan), where=coverage > 0
    )
    first = np.argmax(coverage > 0, axis=1)[:, None]
    selective = np.where(coverage > 0, selective, np.take_along_axis(selective, first, axis=1))
    return np.asarray(np.trapezoid(selective, coverage, axis=1))


def augrc(uncertainty: Floats, risk: Floats, weights: Weights) -> Floats:
    """Area under the generalised risk-coverage curve: the risk that kept cases add to all cases,
    averaged over the share kept; from 0 (best) to half the largest risk if nothing is ranked
    (Traub et al., NeurIPS 2024). Arguments and result as of `spearman`.
    """
    coverage, kept_risk = _generalised_risk(uncertainty, risk, weights)
    return np.asarray(np.trapezoid(kept_risk, coverage, axis=1))


def auroc_failure(uncertainty: Floats, failed: NDArray[np.bool_], weights: Weights) -> Floats:
    """Probability that a failed case is more uncertain than one that did not fail (ties count
    half), from 0 to 1 (best).

    1 where nothing failed, as nothing was left undetected; 0 where everything did, so that such a
    method does not leave the table. Arguments and result as of `spearman`.
    """
    bad = _sums_by_value(uncertainty, weights * failed)
    good = _sums_by_value(uncertainty, weights * ~failed)
    lower = good.cumsum(1) - good / 2
    pairs = bad.sum(1) * good.sum(1)
    undecided = np.where(bad.sum(1) > 0, 0.0, 1.0)
    auroc: Floats = np.divide((bad * lower).sum(1), pairs, out=undecided, where=pairs > 0)
    return auroc


def quality_control_curve(
    uncertainty: Floats, poor: NDArray[np.bool_], weights: Weights
) -> tuple[Floats, Floats]:
    """Poor segmentations that remain as the most uncertain ones are flagged for review.

    Args:
        uncertainty: (cases,)
        poor: (cases,)
        weights: (resamples, cases) how often each case was drawn.

    Returns:
        flagged: share of all cases that is flagged, falling from 1 to 0; remaining: share of all
        cases that is poor and not flagged (Ng et al. 2022, QC curves); both (resamples, steps).
    """
    coverage, remaining = _generalised_risk(uncertainty, poor.astype(np.float64), weights)
    return 1 - coverage, remaining


def flagged_share(
    uncertainty: Floats, poor: NDArray[np.bool_], weights: Weights, remaining: float
) -> Floats:
    """Share of the cases that must be flagged for at most `remaining` of all cases to be poor and
    not flagged, from 0 (best) to 1; between two thresholds it is interpolated.

    The area under `quality_control_curve` is `augrc` of `poor`. Result (resamples,).
    """
    flagged, left = quality_control_curve(uncertainty, poor, weights)
    above = np.count_nonzero(left <= remaining, axis=1)[:, None]  # first step that leaves too many
    enough = (above == left.shape[1])[:, 0]
    above = np.minimum(above, left.shape[1] - 1)
    x0, y0, x1, y1 = (
        np.take_along_axis(axis, step, 1)[:, 0]
        for step in (above - 1, above)
        for axis in (flagged, left)
    )
    part = np.divide(remaining - y0, y1 - y0, out=np.ones_like(y0), where=~enough)
    return np.where(enough, 0, x0 + part * (x1 - x0))


def _generalised_risk(uncertainty: Floats, risk: Floats, weights: Weights) -> tuple[Floats, Floats]:
    """Coverage, from 0 to 1, and the summed risk of the covered over the number of all cases; one
    step per uncertainty that occurs, most certain first, (resamples, steps)."""
    total = weights.sum(1, keepdims=True)
    coverage, kept = (
        np.pad(_sums_by_value(uncertainty, values).cumsum(1) / total, ((0, 0), (1, 0)))
        for values in (weights, weights * risk)
    )
    return coverage, kept


def _mid_ranks(values: Floats, weights: Weights) -> Floats:
    """Rank of each case in each resample, ties sharing their mean, (resamples, cases)."""
    _, of_case = np.unique(values, return_inverse=True)
    drawn = _sums_by_value(values, weights)
    ranks: Floats = (drawn.cumsum(1) - (drawn - 1) / 2)[:, of_case]
    return ranks


def _sums_by_value(values: Floats, of_cases: Floats) -> Floats:
    """Sums of (resamples, cases) over the cases of each value that occurs, in growing order."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf))
    sums = of_cases[:, order]
    if len(starts) < len(order):  # most uncertainties have no ties
        sums = np.add.reduceat(sums, starts, axis=1)
    return sums
