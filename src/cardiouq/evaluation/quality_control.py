"""Quality control of slices, flagged for review by uncertainty (Ng et al., IEEE TBME 2022).

Per structure, a slice is poor if its ASSD exceeds the study's limit (`evaluation.poor.slice`). As
the threshold on ASSD_within falls, more slices are flagged and fewer poor ones are left. Which
slices are poor depends on the method's own segmentation, so each method has its own baselines:

- random: the expected curve of a random order, the share of poor slices times 1 - flagged; also the
  curve of any ranking that says nothing, as that of a method with one sample;
- slice_position: the most basal and the most apical slices first, then inwards;
- oracle: the true error as the uncertainty. No ranking has a lower curve.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cardiouq.errors import CardiouqError
from cardiouq.evaluation.ranking import Ranking, RiskCoverage
from cardiouq.evaluation.statistics import is_poor
from cardiouq.structures import ALL, STRUCTURES

Floats = NDArray[np.float64]

ASSD_WITHIN = "assd_within"
SLICE_POSITION = "slice_position"
RANDOM = "random"
ORACLE = "oracle"
# what Ng et al. (2022) count the time of review for: subjects, slices of each, seconds a slice
N_SUBJECTS = 10_000
N_SLICES = 10
SECONDS = 30
HOURS = N_SUBJECTS * N_SLICES * SECONDS / 3600
"""Hours to review one structure of all these slices."""
MOST_POINTS = 200
"""Largest number of points of a curve in the table of curves."""
KEYS = ("method", "test_set", "structure", "by")
POINT = ("flagged_percent", "poor_left_percent")
MEANS = {"auc": "mean", "flagged_percent": "mean"}
"""Columns of which all structures have the mean; of the others they have the sum."""


def quality_control(
    slice_scores: pd.DataFrame,
    methods: Sequence[str],
    test_sets: Sequence[str],
    poor: Mapping[str, Any],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate quality control with every method on every test set.

    Args:
        slice_scores: rows of `slice_scores.csv` of all methods; rows of other test sets may
            be among them.
        methods, test_sets: in the order of the tables.
        poor: the study's `evaluation.poor`.

    Returns:
        Rows of method, test_set, structure and by (what the slices are ranked by), with n_slices,
        n_poor, n_empty (slices whose reference or prediction lacks the structure), auc (of the
        curve, both axes from 0 to 1), flagged_percent (to leave at most `poor.remaining` of all
        slices poor and not flagged), and hours_saved_random and hours_saved_slice_position against
        these baselines. Structure `all` has the sums of counts and hours, the means of the others.
        Rows of the same keys with flagged_percent and poor_left_percent, both of all slices: the
        points of each curve in the order of flagging, at most `MOST_POINTS`.

    Raises:
        CardiouqError: a method has no rows of a test set or a score is missing, so that poor slices
            would vanish; or a structure has no limit.
    """
    parts = dict(list(slice_scores.groupby(["method", "test_set", "structure"])))
    tables, curves = [], []
    for method, test_set in product(methods, test_sets):
        rows = []
        for structure in STRUCTURES:
            slices = parts.get((method, test_set, structure))
            where = f"slice_scores.csv of {method}, {structure} on {test_set}"
            if slices is None:
                raise CardiouqError(f"{where}: no rows; evaluate the method again")
            error, poor_slices = _errors(slices, structure, poor["slice"], where)
            of_structure = _curves(slices, error, poor_slices)
            keys = {"method": method, "test_set": test_set, "structure": structure}
            empty = slices["reference_empty"] | slices["predicted_empty"]
            counts = {"n_slices": len(slices), "n_poor": poor_slices.sum(), "n_empty": empty.sum()}
            for by, numbers in _numbers(of_structure, poor["remaining"]).items():
                rows.append(keys | {"by": by} | counts | numbers)
                curves.append(_points(of_structure[by]).assign(**keys, by=by))
        tables.append(_with_all(pd.DataFrame(rows)))
    points = pd.concat(curves, ignore_index=True)
    return pd.concat(tables, ignore_index=True), points[[*KEYS, *POINT]]


def thresholds(slice_scores: pd.DataFrame, poor: Mapping[str, Any]) -> dict[str, tuple[str, float]]:
    """Find from which uncertainty on slices of new scans are to be flagged.

    It is the largest threshold that leaves at most `poor.remaining` of the slices poor and not
    flagged. A method of one sample has no ASSD_within; its slices are ranked by the Dice that
    their heat maps expect.

    Args:
        slice_scores: rows of `slice_scores.csv` of one method on the test sets that are like what
            is to come.
        poor: the study's `evaluation.poor`.

    Returns:
        Structure -> metric and threshold: a slice is flagged if its `assd_within_mm`, or 1 less
        its `estimated_dice`, is as large. It is infinite where nothing needs to be flagged.
    """
    has_samples = bool((slice_scores["assd_within_mm"] > 0).any())
    metric = f"{ASSD_WITHIN}_mm" if has_samples else "estimated_dice"
    found = {}
    for structure in STRUCTURES:
        slices = slice_scores[slice_scores["structure"] == structure]
        _, poor_slices = _errors(slices, structure, poor["slice"], f"slice_scores.csv, {structure}")
        values = slices[metric].to_numpy(np.float64)
        uncertainty = values if has_samples else 1 - values
        found[structure] = metric, _threshold(uncertainty, poor_slices, poor["remaining"])
    return found


def _threshold(uncertainty: Floats, poor: NDArray[np.bool_], remaining: float) -> float:
    """Largest uncertainty at which the share of poor slices below it is small enough."""
    candidates = np.append(np.unique(uncertainty), np.inf)
    left = np.array([np.mean(poor & (uncertainty < candidate)) for candidate in candidates])
    return float(candidates[left <= remaining].max())


def slice_position(slices: pd.DataFrame) -> Floats:
    """Distance of each slice from the middle of its volume, 0, to the outermost slices, 1.

    As a share, so that the outermost slices of all volumes come first, whatever their number. The
    only slice of a volume is its middle. A volume goes from its first annotated slice to the last.

    Args:
        slices: rows of case and slice, all annotated slices of each case, counted from 0.

    Returns:
        (rows,)
    """
    of_cases = slices.groupby("case")["slice"]
    first, last = (of_cases.transform(end).to_numpy(np.float64) for end in ("min", "max"))
    twice_from_middle = np.abs(2 * slices["slice"].to_numpy(np.float64) - first - last)
    return np.asarray(twice_from_middle / np.maximum(last - first, 1))


def _errors(
    slices: pd.DataFrame, structure: str, limits: Mapping[str, Any], where: str
) -> tuple[Floats, NDArray[np.bool_]]:
    """The slices' true errors, the larger the worse, and which slices are poor."""
    if structure not in limits:
        raise CardiouqError(
            f"evaluation.poor.slice: no limit for {structure}; expected one for each of "
            f"{', '.join(STRUCTURES)}"
        )
    metric = limits["metric"]
    if slices[["assd_within_mm", metric]].isna().any(axis=None):
        raise CardiouqError(
            f"{where}: assd_within_mm or {metric} is missing; expected both of every slice; "
            "evaluate the method again"
        )
    score = slices[metric].to_numpy(np.float64)
    return -score if metric == "dice" else score, is_poor(slices, structure, limits)


def _curves(
    slices: pd.DataFrame, error: Floats, poor_slices: NDArray[np.bool_]
) -> dict[str, RiskCoverage]:
    """The curve of each way to rank the slices."""
    values = {
        ASSD_WITHIN: slices["assd_within_mm"].to_numpy(np.float64),
        SLICE_POSITION: slice_position(slices),
        RANDOM: np.zeros(len(slices)),  # one step, whose straight line is the expected curve
        ORACLE: error,
    }
    once, risk = np.ones((1, len(slices))), poor_slices.astype(np.float64)
    return {by: Ranking(value, once).curve(risk) for by, value in values.items()}


def _numbers(curves: Mapping[str, RiskCoverage], remaining: float) -> dict[str, dict[str, float]]:
    """What is read off each curve."""
    flagged = {by: curve.flagged_share(remaining)[0] for by, curve in curves.items()}
    return {
        by: {
            "auc": curve.augrc()[0],
            "flagged_percent": 100 * flagged[by],
            "hours_saved_random": HOURS * (flagged[RANDOM] - flagged[by]),
            "hours_saved_slice_position": HOURS * (flagged[SLICE_POSITION] - flagged[by]),
        }
        for by, curve in curves.items()
    }


def _points(curve: RiskCoverage) -> pd.DataFrame:
    """The corners of a curve, evenly thinned; what lies on the line between two adds nothing."""
    coverage, left = curve.coverage[0, ::-1], curve.kept[0, ::-1]
    slope = np.diff(left) / np.diff(coverage)
    inner = np.flatnonzero(np.abs(np.diff(slope)) > 1e-9) + 1
    corners = np.concatenate([[0], inner, [len(left) - 1]])
    if len(corners) > MOST_POINTS:
        corners = corners[np.linspace(0, len(corners) - 1, MOST_POINTS).round().astype(int)]
    points = 100 * (1 - coverage[corners]), 100 * left[corners]
    return pd.DataFrame(dict(zip(POINT, points, strict=True)))


def _with_all(rows: pd.DataFrame) -> pd.DataFrame:
    """A method's rows of a test set, and below them one of all structures for each curve."""
    numbers = {column: MEANS.get(column, "sum") for column in rows.columns.drop(list(KEYS))}
    of_all = rows.groupby("by", sort=False, as_index=False).agg(numbers)
    first = rows.iloc[0]
    of_all = of_all.assign(method=first["method"], test_set=first["test_set"], structure=ALL)
    return pd.concat([rows, of_all])
