"""Tables of statistics: summary with intervals, paired comparisons, stability of ranks."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, rankdata, wilcoxon

from cardiouq.evaluation.bootstrap import intervals
from cardiouq.evaluation.statistics import Group, Key, Statistic

COMPARED = {
    "volume": (
        *("dice", "assd_mm", "hd95_mm", "nll_nats", "brier", "ece_percent"),
        "aurc_estimated_dice",
    ),
    "slice": ("dice", "assd_mm", "nll_nats", "brier"),
}
"""Metrics by which methods are compared pairwise and ranked, by level."""
LARGER_IS_BETTER = ("dice",)
MOST_ENUMERATED = 13
"""Subjects up to which all signs of their differences are gone through, as scipy does for ties."""

Floats = NDArray[np.float64]


def summarise(statistics: Mapping[Key, Statistic], confidence: float) -> pd.DataFrame:
    """Tabulate each statistic: value, SD over cases if it is a mean, interval over subjects."""
    rows = []
    # as many at once as memory does not notice
    for _, part in groupby(statistics.items(), key=lambda item: (item[0][:3], item[1].n_subjects)):
        keys, found = zip(*part, strict=True)
        values = np.stack([statistic.values for statistic in found])
        ends = intervals(values, confidence, found[0].n_subjects)
        for key, statistic, low, high in zip(keys, found, *ends, strict=True):
            of_cases = statistic.of_cases
            sd = np.nan if of_cases is None or len(of_cases) < 2 else np.std(of_cases, ddof=1)
            rows.append(
                key._asdict()
                | {
                    "value": statistic.values[0],
                    "sd": sd,
                    "low": low,
                    "high": high,
                    "n_cases": statistic.n_cases,
                    "n_subjects": statistic.n_subjects,
                    "n_empty": statistic.n_empty,
                }
            )
    return pd.DataFrame(rows)


def compare_pairs(
    statistics: Mapping[Key, Statistic],
    groups: Mapping[tuple[str, str], Group],
    methods: Sequence[str],
    confidence: float,
) -> pd.DataFrame:
    """Compare all pairs of methods.

    Returns:
        Rows of test_set, level, structure, metric, method, other, difference (method less other),
        its interval over subjects, p (Wilcoxon's signed-rank test on the subjects' means, as a
        subject's volumes are not independent; empty where the metric is no mean over cases),
        n_subjects, n_empty (of both methods together) and p_adjusted (Benjamini and Yekutieli,
        2001: the share of false findings among the pairs and structures of one metric on one test
        set, whatever their dependence).
    """
    parts = []
    first, second = np.triu_indices(len(methods), 1)
    for what, found in _by_metric(statistics, methods):
        of_methods = list(found.values())
        values = np.stack([statistic.values for statistic in of_methods])
        differences = values[first] - values[second]
        low, high = intervals(differences, confidence, of_methods[0].n_subjects)
        n_empty = np.array([statistic.n_empty for statistic in of_methods])
        p = np.full(len(first), np.nan)
        if all(statistic.of_cases is not None for statistic in of_methods):
            means = _means_of_subjects(of_methods, groups[what["test_set"], what["level"]].subjects)
            p = _paired_tests(means[first] - means[second])
        parts.append(
            pd.DataFrame(
                {
                    **what,
                    "method": np.array(methods, object)[first],
                    "other": np.array(methods, object)[second],
                    "difference": differences[:, 0],
                    "low": low,
                    "high": high,
                    "p": p,
                    "n_subjects": of_methods[0].n_subjects,
                    "n_empty": n_empty[first] + n_empty[second],
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    table["p_adjusted"] = np.nan
    for _, family in table[table["p"].notna()].groupby(["test_set", "level", "metric"]):
        table.loc[family.index, "p_adjusted"] = false_discovery_control(family["p"], method="by")
    return table


def rank_methods(
    statistics: Mapping[Key, Statistic], methods: Sequence[str], confidence: float
) -> pd.DataFrame:
    """Rank the methods (1 is best, ties share their mean) and say how stable that is.

    Returns:
        Rows of test_set, level, structure, metric, method, rank, its interval over resamples of
        the subjects, first_percent: in how many resamples the method is best, alone or shared
        (Wiesenfarth et al., Scientific Reports 2021; NaN of one subject), and n_empty.
    """
    rows = []
    for what, found in _by_metric(statistics, methods):
        sign = -1 if what["metric"] in LARGER_IS_BETTER else 1
        values = np.stack([statistic.values for statistic in found.values()])
        # rounded, so that equal numbers summed in another order are ties
        ranks = rankdata(sign * values.round(12), axis=0)
        n_subjects = next(iter(found.values())).n_subjects
        ends = intervals(ranks, confidence, n_subjects)
        for method, of_method, low, high in zip(found, ranks, *ends, strict=True):
            first = of_method == ranks.min(0)
            rows.append(
                {
                    **what,
                    "method": method,
                    "rank": of_method[0],
                    "low": low,
                    "high": high,
                    "first_percent": 100 * first[1:].mean() if n_subjects > 1 else np.nan,
                    "n_empty": found[method].n_empty,
                }
            )
    return pd.DataFrame(rows)


def _by_metric(
    statistics: Mapping[Key, Statistic], methods: Sequence[str]
) -> list[tuple[dict[str, Any], dict[str, Statistic]]]:
    """Statistics of each method, by what they are compared by."""
    chosen = [key for key in statistics if key.metric in COMPARED.get(key.level, ())]
    chosen.sort(key=lambda key: key[1:])
    names = Key._fields[1:]
    return [
        (dict(zip(names, what, strict=True)), {m: statistics[Key(m, *what)] for m in methods})
        for what, _ in groupby(chosen, key=lambda key: key[1:])
    ]


def _means_of_subjects(of_methods: Sequence[Statistic], subjects: NDArray[np.str_]) -> Floats:
    """Mean of each subject's cases of each method, (methods, subjects)."""
    _, of_case = np.unique(subjects, return_inverse=True)
    sums = [np.bincount(of_case, statistic.of_cases) for statistic in of_methods]
    means: Floats = np.stack(sums) / np.bincount(of_case)
    return means


def _paired_tests(differences: Floats) -> Floats:
    """Two-sided p of Wilcoxon's signed-rank test on each row (pairs, subjects); 1 where all are 0.

    Each row has the p that scipy gives it alone: of few subjects that of all signs, which are gone
    through for all rows at once in a hundredth of the time.
    """
    differences = differences.round(12)
    if differences.shape[1] <= MOST_ENUMERATED:
        return _of_all_signs(differences)
    p = np.ones(len(differences))
    ordered = np.sort(np.abs(differences), axis=1)
    tied = (np.diff(ordered, axis=1, prepend=0) == 0).any(1)  # with each other or with 0
    # scipy takes one way to p for all rows of a call, by whether any has ties
    for rows in (~tied, tied & differences.any(1)):
        if rows.any():
            p[rows] = wilcoxon(differences[rows], axis=1).pvalue
    return p


def _of_all_signs(differences: Floats) -> Floats:
    size = np.abs(differences)
    # zeros are left out (Wilcoxon, 1945)
    ranks = (rankdata(size, axis=1) - np.sum(size == 0, axis=1, keepdims=True)) * (size > 0)
    observed = (ranks * (differences > 0)).sum(1)
    subjects = differences.shape[1]
    positive = np.arange(2**subjects)[:, None] >> np.arange(subjects) & 1
    sums = positive.astype(np.float64) @ ranks.T
    tails = [(sums >= observed).mean(0), (sums <= observed).mean(0)]
    return np.asarray(np.minimum(2 * np.minimum(*tails), 1))
