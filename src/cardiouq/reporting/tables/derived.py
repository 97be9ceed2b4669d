"""Numbers of Ng et al. (2022) that our summary has not got, derived from other tables."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.evaluation.quality_control import ASSD_WITHIN, N_SUBJECTS, RANDOM
from cardiouq.evaluation.statistics import Key
from cardiouq.reporting.tables.judging import ANY, RANDOM_FLAGGED
from cardiouq.structures import ALL, STRUCTURES

COLUMNS = [*Key._fields, "value", "low", "high", "n_subjects", "n_empty"]
NOT_STATED = ""
"""Test set of the paper's quality control, which it does not name."""
CORRELATION, FLAGGED = "spearman_assd_within_mm_assd_mm", "flagged_percent_assd_within_mm"
HOURS_SAVED = {
    "random_review": "hours_saved_random",
    "slice_position": "hours_saved_slice_position",
}


def derive_numbers(
    summary: pd.DataFrame, distortions: pd.DataFrame, quality_control: pd.DataFrame, distorted: str
) -> pd.DataFrame:
    """Derive further rows of the summary, by the names that the paper's numbers have.

    A kind of distortion is a test set of its own in the rows of the degree of largest uncertainty.

    Args:
        summary: rows of `summary.csv`.
        distortions: rows of `distortions.csv`.
        quality_control: rows of `quality_control.csv`.
        distorted: the test set that was distorted; quality control is that on it.

    Returns:
        `COLUMNS`, all of slices. Without an interval but for the share that ASSD_within flags. A
        median ASSD_within is the mean over structures, as the paper does not say of which it is.
        Of method `any` are: the least and the largest correlation over structures and methods, the
        most hours saved by a method (each over methods with several samples), and the share that
        random review flags, mean over all methods, as each has its own poor slices.
    """
    slices = summary[(summary["level"] == "slice") & summary["structure"].isin(list(STRUCTURES))]
    correlations = slices[slices["metric"] == CORRELATION]
    # of one sample nothing is within
    several = correlations.loc[correlations["value"].abs() > 0, "method"].unique().tolist()
    correlations = correlations[correlations["method"].isin(several)].dropna(subset="value")
    flagged = slices[(slices["metric"] == FLAGGED) & (slices["test_set"] == distorted)]
    reviewed = quality_control[quality_control["test_set"] == distorted]
    rows = [
        *_of_distortions(distortions, distorted),
        *_of_correlations(correlations),
        *_of_quality_control(flagged, reviewed, several),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_distortions(table: pd.DataFrame, distorted: str) -> Iterator[dict[str, Any]]:
    entropy = table[(table["metric"] == "predictive_entropy_bits") & (table["structure"] == ALL)]
    within = table[(table["metric"] == "assd_within_mm") & table["structure"].isin(STRUCTURES)]
    keys = ["method", "kind", "place"]
    for metric, found, unit in (
        ("predictive_entropy_nats_median", entropy, np.log(2)),
        ("assd_within_mm_median", within, 1),
    ):
        for (method, kind, degree), rows in found[found["place"] > 0].groupby(keys, sort=False):
            value = unit * rows["median"].mean()
            yield _row(method, f"{distorted}+{kind}-{degree}", ALL, metric, value, rows)
    for (method, kind), rows in entropy.groupby(["method", "kind"], sort=False):
        largest = rows.sort_values("median", kind="stable", ascending=False)["place"].iloc[0]
        yield _row(method, kind, ALL, f"{kind}_degree_of_largest_uncertainty", largest, rows)


def _of_correlations(correlations: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for test_set, rows in correlations.groupby("test_set", sort=False):
        for end, index in (("min", rows["value"].idxmin()), ("max", rows["value"].idxmax())):
            row = rows.loc[[index]]
            yield _row(ANY, test_set, ALL, f"{CORRELATION}_{end}", row["value"].item(), row)


def _of_quality_control(
    flagged: pd.DataFrame, reviewed: pd.DataFrame, several: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for row in flagged[COLUMNS].assign(test_set=NOT_STATED).to_dict("records"):
        yield {str(name): value for name, value in row.items()}
    n_subjects = flagged["n_subjects"].max()
    reviewed = reviewed.assign(n_subjects=n_subjects)
    random = reviewed[(reviewed["by"] == RANDOM) & reviewed["structure"].isin(STRUCTURES)]
    for structure, rows in random.groupby("structure", sort=False):
        value = rows["flagged_percent"].mean()
        yield _row(ANY, NOT_STATED, structure, RANDOM_FLAGGED, value, rows)
    within = (reviewed["by"] == ASSD_WITHIN) & reviewed["method"].isin(several)
    of_all = reviewed[within & (reviewed["structure"] == ALL)]
    for against, column in HOURS_SAVED.items() if len(of_all) else ():
        best = of_all.loc[[of_all[column].idxmax()]]
        metric = f"hours_saved_per_{N_SUBJECTS}_subjects_against_{against}"
        yield _row(ANY, NOT_STATED, ALL, metric, best[column].item(), best)


def _row(
    method: Any, test_set: Any, structure: Any, metric: str, value: float, rows: pd.DataFrame
) -> dict[str, Any]:
    """A number without an interval, and the rows that it was taken from."""
    key = Key(method, test_set, "slice", structure, metric)
    counts = rows["n_subjects"].max(), rows["n_empty"].sum()
    return dict(zip(COLUMNS, [*key, value, np.nan, np.nan, *counts], strict=True))
