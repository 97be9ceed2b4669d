"""Scores to summaries: one row per method, test set and structure, the paper's number beside."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from cardiouq.errors import CardiouqError
from cardiouq.evaluation.calibration import expected_calibration_error_of_bins
from cardiouq.structures import STRUCTURES

COLUMNS = [
    *("method", "test_set", "structure", "mean", "sd"),
    *("n_volumes", "n_subjects", "n_empty", "published", "published_sd"),
]


def summarise_dice(
    scores: pd.DataFrame, methods: Sequence[str], test_sets: Sequence[str]
) -> pd.DataFrame:
    """Mean and SD of Dice over all volumes of each test set (Zhao et al. 2022, Table 1).

    Args:
        scores: rows of `scores.csv` of all methods.
        methods: keys of the methods in the table's order.
        test_sets: names of the test sets in the table's order.

    Returns:
        Rows with method, test_set, structure, mean, sd (of the sample, n - 1), n_volumes,
        n_subjects and n_empty: the volumes where reference or prediction lacks the structure.

    Raises:
        CardiouqError: a score is missing or not a number, or methods were scored on other volumes
            than the first method, so that their means could not be compared.
    """
    rows = []
    groups = dict(list(scores.groupby(["method", "test_set", "structure"])))
    for method in methods:
        for test_set in test_sets:
            for structure in STRUCTURES:
                group = groups.get((method, test_set, structure))
                reference = groups.get((methods[0], test_set, structure))
                where = f"Dice of {method} on {test_set}, {structure}"
                if group is None or reference is None:
                    raise CardiouqError(f"{where}: no scores; run the evaluation of all methods")
                if sorted(group["case"]) != sorted(reference["case"]):
                    raise CardiouqError(
                        f"{where}: {len(group)} volumes, other ones than the {len(reference)} of "
                        f"{methods[0]}; evaluate all methods on the same volumes"
                    )
                if group["dice"].isna().any():
                    cases = group.loc[group["dice"].isna(), "case"].tolist()
                    raise CardiouqError(
                        f"{where}: no number for {cases}; expected Dice of every volume, as "
                        "failures would vanish from the mean"
                    )
                empty = group[["reference_empty", "predicted_empty"]].any(axis="columns")
                rows.append(
                    {
                        "method": method,
                        "test_set": test_set,
                        "structure": structure,
                        "mean": group["dice"].mean(),
                        "sd": group["dice"].std(ddof=1),
                        "n_volumes": len(group),
                        "n_subjects": group["subject"].nunique(),
                        "n_empty": int(empty.sum()),
                    }
                )
    return pd.DataFrame(rows)


def summarise_ece(
    bins: pd.DataFrame,
    scores: pd.DataFrame,
    methods: Sequence[str],
    test_sets: Sequence[str],
    pool: Literal["voxels", "volumes"],
    box: Literal["reference", "prediction"],
) -> pd.DataFrame:
    """Expected calibration error in percent for each test set (Zhao et al. 2022, Table 2).

    Args:
        bins: rows of `calibration.csv` of all methods: sums of confidence and of correct voxels.
        scores: rows of `scores.csv` of all methods, which say what volumes there are.
        methods: keys of the methods in the table's order.
        test_sets: names of the test sets in the table's order.
        pool: one error over all voxels of a test set, or the mean of the volumes' errors.
        box: whose foreground was boxed.

    Returns:
        Rows as of `summarise_dice`, with an empty structure; sd is that over volumes, and NaN if
        voxels are pooled; n_empty counts volumes whose box is empty of all structures, so that
        the whole volume counted.

    Raises:
        CardiouqError: a method's bins are not of the volumes that it was scored on.
    """
    rows = []
    for method in methods:
        for test_set in test_sets:
            group = _of(bins, method, test_set)
            volumes = _of(scores, method, test_set)
            if set(group["case"]) != set(volumes["case"]) or group.empty:
                raise CardiouqError(
                    f"ECE of {method} on {test_set}: bins of {group['case'].nunique()} volumes, "
                    f"scores of {volumes['case'].nunique()}; expected the same volumes, run the "
                    "evaluation again"
                )
            empty = volumes["reference_empty" if box == "reference" else "predicted_empty"]
            rows.append(
                {
                    "method": method,
                    "test_set": test_set,
                    "structure": "",
                    "mean": 100 * expected_calibration_error_of_bins(group, pool),
                    "sd": _sd_over_volumes(group) if pool == "volumes" else np.nan,
                    "n_volumes": volumes["case"].nunique(),
                    "n_subjects": volumes["subject"].nunique(),
                    "n_empty": int(empty.astype(bool).groupby(volumes["case"]).all().sum()),
                }
            )
    return pd.DataFrame(rows)


def _of(table: pd.DataFrame, method: str, test_set: str) -> pd.DataFrame:
    return table[(table["method"] == method) & (table["test_set"] == test_set)]


def _sd_over_volumes(bins: pd.DataFrame) -> float:
    errors = [
        100 * expected_calibration_error_of_bins(of_case, "volumes")
        for _, of_case in bins.groupby("case")
    ]
    return float(pd.Series(errors).std(ddof=1))
