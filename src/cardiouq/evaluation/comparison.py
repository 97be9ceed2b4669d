"""Statistics to tables: summary with intervals, paired comparisons, stability of ranks."""

from collections.abc import Mapping, Sequence
from itertools import combinations, groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, rankdata, wilcoxon

from cardiouq.evaluation.resampling import interval
from cardiouq.evaluation.statistics import Group, Key, Statistic

COMPARED = {
    "volume": ("dice", "assd_mm", "hd95_mm", "nll_nats", "brier", "ece_percent"),
    "slice": ("dice", "assd_mm", "nll_nats", "brier"),
}
"""The metrics by which methods are compared pairwise and ranked."""
LARGER_IS_BETTER = ("dice",)

Floats = NDArray[np.float64]


def summarise(statistics: Mapping[Key, Statistic], confidence: float) -> pd.DataFrame:
    """One row per statistic: its value, the SD over cases (n - 1) if it is a mean, and its interval
    over subjects (empty for a single subject)."""
    rows = []
    for key, statistic in statistics.items():
        low, high = interval(statistic.values, confidence, statistic.n_subjects)
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
    """Differences between all pairs of methods.

    Returns:
        Rows of test_set, level, structure, metric, method, other, difference (method less other),
        its interval over subjects, p (Wilcoxon's signed-rank test on the subjects' means, as a
        subject's volumes are not independent; empty where the metric is no mean over cases),
        n_empty (of both methods together) and p_adjusted (Benjamini and Yekutieli, 2001: the share
        of false findings among the pairs and structures of one metric on one test set, whatever
        their dependence).
    """
    rows = []
    for (test_set, level, structure, metric), found in _by_metric(statistics, methods):
        subjects = groups[test_set, level].subjects
        for method, other in combinations(found, 2):
            one, two = found[method], found[other]
            difference = one.values - two.values
            low, high = interval(difference, confidence, one.n_subjects)
            p = np.nan
            if one.of_cases is not None and two.of_cases is not None:
                p = _paired_test(one.of_cases - two.of_cases, subjects)
            rows.append(
                {
                    **{"test_set": test_set, "level": level, "structure": structure},
                    **{"metric": metric, "method": method, "other": other},
                    **{"difference": difference[0], "low": low, "high": high, "p": p},
                    "n_empty": one.n_empty + two.n_empty,
                }
            )
    table = pd.DataFrame(rows)
    table["p_adjusted"] = np.nan
    for _, family in table[table["p"].notna()].groupby(["test_set", "level", "metric"]):
        table.loc[family.index, "p_adjusted"] = false_discovery_control(family["p"], method="by")
    return table


def rank_methods(
    statistics: Mapping[Key, Statistic], methods: Sequence[str], confidence: float
) -> pd.DataFrame:
    """Rank of each method (1 is best, ties share their mean) and how stable it is.

    Returns:
        Rows of test_set, level, structure, metric, method, rank, its interval over resamples of
        the subjects, first_percent: in how many resamples the method is best, alone or shared
        (Wiesenfarth et al., Scientific Reports 2021), and n_empty.
    """
    rows = []
    for (test_set, level, structure, metric), found in _by_metric(statistics, methods):
        sign = -1 if metric in LARGER_IS_BETTER else 1
        values = np.stack([statistic.values for statistic in found.values()])
        # rounded, so that equal numbers summed in another order are ties
        ranks = rankdata(sign * values.round(12), axis=0)
        for method, of_method, statistic in zip(found, ranks, found.values(), strict=True):
            low, high = interval(of_method, confidence, statistic.n_subjects)
            first = of_method == ranks.min(0)
            rows.append(
                {
                    **{"test_set": test_set, "level": level, "structure": structure},
                    **{"metric": metric, "method": method, "rank": of_method[0]},
                    **{"low": low, "high": high, "first_percent": 100 * first[1:].mean()},
                    "n_empty": statistic.n_empty,
                }
            )
    return pd.DataFrame(rows)


def _by_metric(
    statistics: Mapping[Key, Statistic], methods: Sequence[str]
) -> list[tuple[tuple[str, str, str, str], dict[str, Statistic]]]:
    """What is compared -> the statistic of each method."""
    chosen = [key for key in statistics if key.metric in COMPARED.get(key.level, ())]
    chosen.sort(key=lambda key: key[1:])
    return [
        (what, {m: statistics[Key(m, *what)] for m in methods})
        for what, _ in groupby(chosen, key=lambda key: key[1:])
    ]


def _paired_test(differences: Floats, subjects: NDArray[np.str_]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test on the subjects' mean differences; 1 if all are
    0."""
    _, of_case = np.unique(subjects, return_inverse=True)
    means = np.bincount(of_case, differences) / np.bincount(of_case)
    means = means.round(12)
    return float(wilcoxon(means).pvalue) if means.any() else 1.0
