"""Rankings by uncertainty, and whether they find the bad segmentations.

Cases are put in the order of their uncertainty once, in all resamples; each measure then takes what
the uncertainty should tell and gives one number per resample. Cases of equal uncertainty count as
one step, so that no measure depends on the order of the cases. An uncertainty that is the same for
all cases ranks nothing: it gets the value of chance.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.float64]


class Ranking:
    """Order of cases by a value, such as an uncertainty, in every resample.

    Args:
        values: (cases,)
        weights: (resamples, cases) how often each case was drawn (`bootstrap.subject_weights`).
    """

    def __init__(self, values: Floats, weights: Weights) -> None:
        self.weights = weights
        self.order = np.argsort(values, kind="stable")
        self.starts = np.flatnonzero(np.diff(values[self.order], prepend=-np.inf))
        """Where in the order the cases of each value that occurs begin."""
        self.drawn = self.sums(weights)
        """How often the cases of each value that occurs were drawn, (resamples, values)."""
        self.total = weights.sum(1, keepdims=True)

    def sums(self, of_cases: Floats) -> Floats:
        """Sums of (resamples, cases) over the cases of each value that occurs, in growing order."""
        sums: Floats = of_cases[:, self.order]
        if len(self.starts) < len(self.order):  # most uncertainties have no ties
            sums = np.add.reduceat(sums, self.starts, axis=1)
        return sums

    def running_share(self, sums: Floats) -> Floats:
        """Running totals of `sums` over the number of all cases, with a 0 before the first."""
        share = np.zeros((len(sums), sums.shape[1] + 1))
        np.cumsum(sums, axis=1, out=share[:, 1:])
        share /= self.total
        return share

    @cached_property
    def coverage(self) -> Floats:
        """Share of the cases up to each value, from 0 to 1."""
        return self.running_share(self.drawn)

    @cached_property
    def centred_ranks(self) -> Floats:
        """Rank of each case less the mean rank, ties sharing their mean, (resamples, cases)."""
        of_value = self.drawn.cumsum(1) - (self.drawn - 1) / 2 - (self.total + 1) / 2
        ranks = np.empty_like(self.weights)
        repeats = np.diff(self.starts, append=len(self.order))
        ranks[:, self.order] = np.repeat(of_value, repeats, axis=1)
        return ranks

    @cached_property
    def weighted_ranks(self) -> Floats:
        """Centred ranks times how often each case was drawn, (resamples, cases)."""
        return self.weights * self.centred_ranks

    @cached_property
    def spread(self) -> Floats:
        """Standard deviation of the ranks times the root of the number of cases, (resamples,)."""
        squares: Floats = np.einsum("rc,rc->r", self.weighted_ranks, self.centred_ranks)
        return np.sqrt(squares)

    def curve(self, risk: Floats) -> "RiskCoverage":
        """The risk-coverage curve of a risk (cases,) that the values should foretell."""
        return RiskCoverage(self.coverage, self.running_share(self.sums(self.weights * risk)))

    def auroc_failure(self, failed: NDArray[np.bool_]) -> Floats:
        """Probability that a failed case is more uncertain than another, (resamples,).

        It goes from 0 to 1 (best); ties count half. It is 1 where nothing failed, as nothing was
        left undetected, and 0 where everything did, so that such a method stays in the table; in a
        resample of a sample with both it is NaN, as an interval is of what was measured.

        Args:
            failed: (cases,)
        """
        bad = self.sums(self.weights * failed)
        good = self.drawn - bad
        lower = good.cumsum(1) - good / 2
        n_bad = bad.sum(1)
        pairs = n_bad * good.sum(1)
        undecided = np.where(n_bad > 0, 0.0, 1.0)
        if failed.any() and not failed.all():
            undecided[:] = np.nan
        found: Floats = np.einsum("rv,rv->r", bad, lower)
        return np.asarray(np.divide(found, pairs, out=undecided, where=pairs > 0))


def spearman(uncertainty: Ranking, error: Ranking) -> Floats:
    """Spearman's rank correlation of uncertainty and error in each resample, (resamples,).

    Both are of the same cases. It goes from -1 to 1 (best), and is 0 if either is the same for all.
    """
    product = uncertainty.spread * error.spread
    covariance = np.einsum("rc,rc->r", uncertainty.centred_ranks, error.weighted_ranks)
    # ranks are multiples of 1/2: less than this is rounding
    none = np.zeros(len(product))
    return np.asarray(np.divide(covariance, product, out=none, where=product > 1e-9))


@dataclass(frozen=True)
class RiskCoverage:
    """Risk that remains as cases are kept, most certain first, by the share kept.

    With poor segmentations as risk, and 1 - coverage for the share that is flagged for review, it
    is the quality-control curve of Ng et al. (2022).

    Attributes:
        coverage: share of the cases that is kept, growing from 0 to 1, (resamples, steps).
        kept: summed risk of the kept over the number of all cases, likewise.
    """

    coverage: Floats
    kept: Floats

    def aurc(self) -> Floats:
        """Area under the risk-coverage curve, from 0 (best) to the largest risk, (resamples,).

        It is the mean risk of the cases kept, averaged over the share kept, as in fd-shifts (Jaeger
        et al., ICLR 2023): by trapezoids, and to the left of the first threshold the risk stays.
        """
        some = self.coverage > 0
        selective = np.divide(self.kept, self.coverage, out=np.zeros_like(self.kept), where=some)
        first = np.argmax(some, axis=1)[:, None]
        selective = np.where(some, selective, np.take_along_axis(selective, first, axis=1))
        return _area(selective, self.coverage)

    def augrc(self) -> Floats:
        """Area under the generalised risk-coverage curve, from 0 (best), (resamples,).

        It is the risk that kept cases add to all cases, averaged over the share kept: half the
        largest risk if nothing is ranked (Traub et al., NeurIPS 2024). Of poor segmentations it is
        the area under the quality-control curve.
        """
        return _area(self.kept, self.coverage)

    def flagged_share(self, remaining: float) -> Floats:
        """Share of cases to flag until at most `remaining` of all are left poor, (resamples,).

        It goes from 0 (best) to 1, and is interpolated between two thresholds.
        """
        flagged, left = 1 - self.coverage, self.kept
        above = np.count_nonzero(left <= remaining, axis=1)[:, None]  # first that leaves too many
        enough = (above == left.shape[1])[:, 0]
        above = np.minimum(above, left.shape[1] - 1)
        x0, y0, x1, y1 = (
            np.take_along_axis(axis, step, 1)[:, 0]
            for step in (above - 1, above)
            for axis in (flagged, left)
        )
        part = np.divide(remaining - y0, y1 - y0, out=np.ones_like(y0), where=~enough)
        return np.where(enough, 0, x0 + part * (x1 - x0))


def _area(heights: Floats, positions: Floats) -> Floats:
    """Area under each curve by trapezoids, as `numpy.trapezoid`, with fewer passes."""
    widths = np.diff(positions, axis=1)
    area: Floats = np.einsum("rs,rs->r", widths, heights[:, 1:])
    area += np.einsum("rs,rs->r", widths, heights[:, :-1])
    return area / 2
