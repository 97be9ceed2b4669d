"""Conformal prediction: intervals that hold the reference with a chosen probability.

A subject's score is the largest error among its volumes (phases, visits), each as a multiple of the
method's own spread there. The intervals of a subject are as many spreads wide as the scores of the
other in-domain subjects ask for (split conformal prediction, normalised; Vovk et al. 2005,
Papadopoulos et al. 2011), so that all of its volumes are held or it counts as missed. That is valid
for a subject like those that were calibrated on, whatever the method; on shifted data it is not,
and how far it fails is what is reported.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta

from cardiouq.evaluation.bootstrap import FEWEST_SUBJECTS
from cardiouq.evaluation.pooled import pooled
from cardiouq.structures import ALL

Floats = NDArray[np.float64]
Integers = NDArray[np.integer]

LEVELS = (0.80, 0.90, 0.95)
"""Nominal coverages, the shares of subjects whose intervals are to hold the reference."""
CONFIDENCE = 0.95
"""Of the binomial interval of an achieved coverage."""
DICE, MARGIN = "Dice", "Margin"
"""First words of the quantities that each structure has, as in `Dice RV`."""
POSSIBLE = {"ml": (0, np.inf), "g": (0, np.inf), "mm": (0, np.inf), "%": (0, 100), "": (0, 1)}
"""Unit -> the smallest and the largest value that there is, where intervals end."""
SPREAD, UNSCALED = "spread", "nothing"
"""What intervals are scaled by."""

CASE = ["method", "test_set", "subject", "visit", "phase", "quantity", "unit"]
KEYS = ["method", "test_set", "quantity", "unit", "by", "nominal"]


class Calibrated(NamedTuple):
    """What calibration gives each of n rows.

    Attributes:
        scales: (n,) what a row's interval is scaled by.
        quantiles: (levels, n) how many scales wide it is to either side; infinite where there are
            too few subjects for the level.
        n_subjects: (n,) that were calibrated on.
    """

    scales: Floats
    quantiles: Floats
    n_subjects: Integers


def calibrate(
    errors: Floats,
    spreads: Floats,
    subjects: Integers,
    groups: Integers,
    in_domain: NDArray[np.bool_],
    levels: Sequence[float] = LEVELS,
) -> Calibrated:
    """Calibrate the interval of every row on the in-domain subjects other than its own.

    The scale of a row is 1 + s / m, where s is its spread and m the mean spread of the rows
    calibrated on and of its group: a method that is equally sure of all has intervals of one width.
    A subject's score is the largest error / scale of its rows, and the quantile at a level is the
    k-th smallest score of n subjects (`quantile_ranks`), or infinite where k > n.

    Args:
        errors: (n,) distances of estimates from the truth.
        spreads: (n,) from 0.
        subjects: (n,) number of the subject whose row it is.
        groups: (n,) number of the subject and test set whose row it is.
        in_domain: (n,) whether a row is to be calibrated on.
        levels: nominal coverages.
    """
    calibrated, whose = np.unique(subjects[in_domain], return_inverse=True)
    _, first, groups = np.unique(groups, return_index=True, return_inverse=True)
    others = calibrated[:, None] != subjects[first]  # (calibrated on, groups)
    n_subjects = others.sum(0)

    def over_rows(weights: Floats) -> Floats:
        """Sum over the rows that each group is calibrated on, and its own."""
        of_subjects = np.bincount(whose, weights[in_domain], len(calibrated))
        return np.asarray(of_subjects @ others + np.bincount(groups, weights))

    means = over_rows(spreads) / over_rows(np.ones_like(spreads))
    scores = np.zeros(others.shape)
    scaled = errors[in_domain, None] / _scales(spreads[in_domain, None], means)
    np.maximum.at(scores, whose, scaled)
    scores[~others] = np.inf  # behind all others, where no quantile is read
    ordered = np.vstack([np.sort(scores, axis=0), np.full(len(first), np.inf)])
    ranks = np.minimum(quantile_ranks(n_subjects, levels), n_subjects + 1)
    quantiles = np.take_along_axis(ordered, ranks - 1, axis=0)
    return Calibrated(_scales(spreads, means[groups]), quantiles[:, groups], n_subjects[groups])


def quantile_ranks(n_subjects: Integers, levels: Sequence[float] = LEVELS) -> Integers:
    """Which of the scores of n subjects, from the smallest, 1, is the quantile at each level.

    It is ceil((n + 1) level), (levels, n); above n there are too few subjects for the level.
    """
    # rounded first: (n + 1) level is a whole number at times, and its product may be a hair above
    return np.ceil(np.round(np.outer(levels, n_subjects + 1), 9)).astype(int)


def _scales(spreads: Floats, means: Floats) -> Floats:
    relative = np.zeros(np.broadcast_shapes(spreads.shape, means.shape))
    return 1 + np.divide(spreads, means, out=relative, where=means > 0)


def conformal(
    scores: pd.DataFrame, subjects: pd.DataFrame, in_domain: Collection[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compute conformal intervals of every quantity, and how many subjects they hold.

    Quantities are the clinical ones, estimated by the segmentation's and scaled by the SD of the
    samples'; the Dice of each structure, estimated by the heat map and scaled by 1 - the estimate;
    and the margin of each structure, estimated by 0 and scaled by ASSD_within.

    Args:
        scores: rows of `scores.csv` of all methods.
        subjects: rows of `subjects.csv` of all methods.
        in_domain: names of the test sets that are calibrated on.

    Returns:
        Rows of `KEYS` with n_subjects, n_calibrated, n_empty (subjects with a volume in which
        reference or prediction lacks what the quantity needs), coverage (share of subjects held,
        all volumes of them), low and high (its Clopper-Pearson interval), width (median over
        volumes or visits, infinite where subjects are too few) and valid (1 if high is not below
        nominal, else 0; missing of fewer than `FEWEST_SUBJECTS`, whose high end is above even
        where hardly any is held). by is `spread` or `nothing`, which gives all subjects
        intervals of one width. Quantity `all` has the mean coverage of the intervals (margins are
        none) with the interval of a single one that covers as much, whether all are valid, and as
        width the geometric mean of width / the narrowest valid one.
        Rows of each interval that is scaled by the spread: `CASE`, nominal, estimate, truth, low
        and high.
    """
    units = _units(scores, subjects, in_domain)
    errors = (units["estimate"] - units["truth"]).abs().to_numpy()
    spreads = units["spread"].to_numpy()
    parts = []
    for by, spread in ((SPREAD, spreads), (UNSCALED, np.zeros_like(spreads))):
        found = _calibrate_each(units, errors, spread)
        parts += [
            _with_ends(units, found.scales * quantile).assign(
                held=errors / found.scales <= quantile,
                n_calibrated=found.n_subjects,
                by=by,
                nominal=level,
            )
            for level, quantile in zip(LEVELS, found.quantiles, strict=True)
        ]
    intervals = pd.concat(parts, ignore_index=True)
    scaled = intervals[intervals["by"] == SPREAD]
    columns = [*CASE, "nominal", "estimate", "truth", "low", "high"]
    return _with_all(_coverage(intervals)), scaled[columns]


def calibration_of(
    scores: pd.DataFrame, subjects: pd.DataFrame, in_domain: Collection[str]
) -> pd.DataFrame:
    """What intervals of a new subject are calibrated on: all in-domain subjects of one method.

    Args: as of `conformal`.

    Returns:
        Rows of quantity, unit, subject (a number from 0), error and spread, without margins.
    """
    units = _units(scores, subjects, in_domain)
    units = units[units["in_domain"]]
    units = units[~units["quantity"].str.startswith(MARGIN)]
    return pd.DataFrame(
        {
            "quantity": units["quantity"],
            "unit": units["unit"],
            "subject": units.groupby("subject").ngroup(),
            "error": (units["estimate"] - units["truth"]).abs(),
            "spread": units["spread"],
        }
    ).reset_index(drop=True)


def intervals_of_new(calibration: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """Compute the intervals of a subject that nobody segmented.

    Args:
        calibration: rows of `calibration_of`.
        units: rows of quantity, unit, estimate and spread of one subject.

    Returns:
        The rows of each quantity that was calibrated, at each of `LEVELS` that there are subjects
        enough for, with nominal, low and high.
    """
    parts = []
    known = dict(list(calibration.groupby("quantity")))
    for quantity, rows in units.groupby("quantity", sort=False):
        if quantity not in known:
            continue
        others, n = known[quantity], len(rows)
        of_new = np.arange(len(others) + n) >= len(others)
        subjects = np.append(others["subject"], np.full(n, -1))
        found = calibrate(
            np.append(others["error"], np.zeros(n)),
            np.append(others["spread"], rows["spread"]),
            subjects,
            subjects,  # each is in one test set
            ~of_new,
        )
        parts += [
            _with_ends(rows, (found.scales * quantile)[of_new]).assign(nominal=level)
            for level, quantile in zip(LEVELS, found.quantiles, strict=True)
            if np.isfinite(quantile[of_new]).all()
        ]
    columns = [*units.columns, "nominal", "low", "high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _units(
    scores: pd.DataFrame, subjects: pd.DataFrame, in_domain: Collection[str]
) -> pd.DataFrame:
    """Each estimate of each quantity with its truth, its spread and whether to calibrate on it."""
    scores, subjects = (
        table.assign(in_domain=pooled(table, in_domain)) for table in (scores, subjects)
    )
    structure = scores["structure"]
    tables = [
        subjects.assign(
            phase="",
            estimate=subjects["predicted"],
            truth=subjects["reference"],
            spread=subjects["sd"],
        ),
        scores.assign(
            quantity=f"{DICE} " + structure,
            unit="",
            estimate=scores["estimated_dice"],
            truth=scores["dice"],
            spread=1 - scores["estimated_dice"],
        ),
        scores.assign(
            quantity=f"{MARGIN} " + structure,
            unit="mm",
            estimate=0.0,
            truth=scores["margin_mm"],
            spread=scores["assd_within_mm"],
        ),
    ]
    empty = scores["reference_empty"] | scores["predicted_empty"]
    tables[1:] = [table.assign(empty=empty) for table in tables[1:]]
    columns = [*CASE, "estimate", "truth", "spread", "empty", "in_domain"]
    # there are no clinical quantities without ED and ES, or of other structures than the heart's
    return pd.concat([table[columns] for table in tables if len(table)], ignore_index=True)


def _calibrate_each(units: pd.DataFrame, errors: Floats, spreads: Floats) -> Calibrated:
    """Calibrate the units of each method and quantity on their own."""
    is_in_domain = units["in_domain"].to_numpy()
    subjects = units.groupby("subject").ngroup().to_numpy()
    groups = units.groupby(["test_set", "subject"]).ngroup().to_numpy()
    n = len(units)
    all_units = Calibrated(np.empty(n), np.empty((len(LEVELS), n)), np.empty(n, int))
    for rows in units.groupby(["method", "quantity"]).indices.values():
        found = calibrate(
            errors[rows], spreads[rows], subjects[rows], groups[rows], is_in_domain[rows]
        )
        for whole, part in zip(all_units, found, strict=True):
            whole[..., rows] = part
    return all_units


def _with_ends(rows: pd.DataFrame, half: Floats) -> pd.DataFrame:
    """Rows with the ends of intervals of half a width, none beyond what is possible, and widths."""
    least, most = (rows["unit"].map({u: ends[i] for u, ends in POSSIBLE.items()}) for i in (0, 1))
    # both, as a segmentation's ejection fraction may be less than 0 by far
    low = (rows["estimate"] - half).clip(least, most)
    high = (rows["estimate"] + half).clip(least, most)
    return rows.assign(low=low, high=high, width=(high - low).where(np.isfinite(half), np.inf))


def _coverage(intervals: pd.DataFrame) -> pd.DataFrame:
    by_subject = intervals.groupby([*KEYS, "subject"], sort=False)
    held = by_subject.agg({"held": "all", "empty": "any", "n_calibrated": "first"})
    rows = held.groupby(KEYS, sort=False).agg(
        n_subjects=("held", "size"),
        n_calibrated=("n_calibrated", "min"),
        n_empty=("empty", "sum"),
        n_held=("held", "sum"),
    )
    low, high = binomial_interval(rows["n_held"].to_numpy(), rows["n_subjects"].to_numpy())
    rows["coverage"] = rows.pop("n_held") / rows["n_subjects"]
    rows["low"], rows["high"] = low, high
    rows["width"] = intervals.groupby(KEYS, sort=False)["width"].median()
    rows = rows.reset_index()
    reaches = (rows["high"] >= rows["nominal"]).astype(float)
    return rows.assign(valid=reaches.where(rows["n_subjects"] >= FEWEST_SUBJECTS))


def binomial_interval(successes: Floats | Integers, trials: Integers) -> tuple[Floats, Floats]:
    """Interval of Clopper and Pearson (1934) of each share of successes, exact at `CONFIDENCE`.

    Args:
        successes: (n,) from 0 to trials; of a mean of several shares no whole number.
        trials: (n,) from 1.

    Returns:
        Lower and upper ends, (n,) each, from 0 to 1.
    """
    tail = (1 - CONFIDENCE) / 2
    low = beta.ppf(tail, successes, trials - successes + 1)
    high = beta.ppf(1 - tail, successes + 1, trials - successes)
    return np.where(successes == 0, 0.0, low), np.where(successes == trials, 1.0, high)


def _with_all(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows, and below them those of all intervals together."""
    intervals = rows[~rows["quantity"].str.startswith(MARGIN)]
    is_candidate = (intervals["valid"] == 1) & np.isfinite(intervals["width"])
    candidates = intervals["width"].where(is_candidate)
    compared = [intervals[key] for key in ("test_set", "quantity", "nominal")]
    narrowest = candidates.groupby(compared).transform("min")
    width = intervals["width"]
    # the narrowest, 1, may be of no width
    relative = (width / narrowest).mask(width == narrowest, 1).mask(np.isinf(width), np.inf)
    keys = [key for key in KEYS if key not in ("quantity", "unit")]
    of_all = (
        intervals.assign(log_width=np.log(relative))
        .groupby(keys, sort=False)
        .agg(
            n_subjects=("n_subjects", "min"),
            n_calibrated=("n_calibrated", "min"),
            n_empty=("n_empty", "max"),
            coverage=("coverage", "mean"),
            log_width=("log_width", "mean"),
            valid=("valid", _valid_together),
        )
        .reset_index()
    )
    of_all["width"] = np.exp(of_all.pop("log_width"))
    fewest = of_all["n_subjects"]
    # the mean varies less than the share of one quantity, so that this is no narrower than its own
    of_all["low"], of_all["high"] = binomial_interval(
        (of_all["coverage"] * fewest).to_numpy(), fewest.to_numpy()
    )
    return pd.concat([rows, of_all.assign(quantity=ALL, unit="")], ignore_index=True)


def _valid_together(valid: "pd.Series[float]") -> float:
    """1 if all are, 0 if one is not, else NaN: of one there are too few subjects to tell."""
    return 0.0 if (valid == 0).any() else float(valid.min(skipna=False))
