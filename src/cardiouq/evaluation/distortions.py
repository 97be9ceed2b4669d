"""Effect of distortions on accuracy and uncertainty, per 2D slice (Ng et al., IEEE TBME 2022)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.structures import ALL

OF_STRUCTURES = ("dice", "assd_mm", "hausdorff_mm", "dice_within", "assd_within_mm")
OF_SLICES = ("nll_nats", "brier", "predictive_entropy_bits", "mutual_information_bits")
KEYS = ["method", "kind", "place", "degree", "structure", "metric"]
POOLED = "+distorted"
"""What stands for a test set in rows of all degrees of all kinds, the undistorted ones included."""
WHISKER = 1.5
"""Quartile ranges beyond the box within which a whisker ends, at the last slice (Tukey)."""


def summarise_distortions(
    slice_scores: pd.DataFrame,
    slice_voxels: pd.DataFrame,
    test_sets: Mapping[str, Mapping[str, Any]],
) -> pd.DataFrame:
    """Summarise the slices of every metric at every degree of every kind of distortion.

    Degree 0 is the test set that was distorted, of the subjects whose scans were.

    Args:
        slice_scores, slice_voxels: rows of all methods.
        test_sets: from `Study.distorted_test_sets`.

    Returns:
        Rows of `KEYS` with n_slices, n_subjects, n_empty (slices that lack the structure in
        reference or prediction), mean, and what a box is drawn from: low, q1, median, q3, high.
    """
    values = _slice_values(slice_scores, slice_voxels)
    parts = []
    for name, settings in test_sets.items():
        chosen = values[values["test_set"] == name]
        where = {key: settings[key] for key in ("kind", "place", "degree")}
        parts.append(chosen.assign(**where))
        if settings["place"] == 1:
            original = values[values["test_set"] == settings["of"]]
            original = original[original["subject"].isin(set(chosen["subject"]))]
            parts.append(original.assign(kind=settings["kind"], place=0, degree=0.0))
    grouped = pd.concat(parts, ignore_index=True).groupby(KEYS, sort=False)
    boxes = grouped["value"].apply(_box).unstack()
    counts = grouped.agg(
        n_slices=("value", "size"), n_subjects=("subject", "nunique"), n_empty=("empty", "sum")
    )
    return counts.join(boxes).reset_index().sort_values(KEYS, kind="stable", ignore_index=True)


def pool_degrees(table: pd.DataFrame, test_sets: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Take all distorted scans, and what they are made from, as one test set, `POOLED`.

    Args:
        table: rows of all methods, such as those of `scores.csv`.
        test_sets: from `Study.distorted_test_sets`.
    """
    distorted = table[table["test_set"].isin(list(test_sets))]
    of = {settings["of"] for settings in test_sets.values()}
    is_original = table["test_set"].isin(of) & table["subject"].isin(set(distorted["subject"]))
    return pd.concat([table[is_original], distorted], ignore_index=True).assign(test_set=POOLED)


def _slice_values(slice_scores: pd.DataFrame, slice_voxels: pd.DataFrame) -> pd.DataFrame:
    """Values of metrics, a row for each slice, structure and metric.

    Columns are method, test_set, subject, structure, empty (whether reference or prediction lacks
    the structure), metric and value.
    """
    empty = slice_scores["predicted_empty"] | slice_scores["reference_empty"]
    kept = ["method", "test_set", "subject", "structure", "empty"]
    tables = (
        (slice_scores.assign(empty=empty), OF_STRUCTURES),
        (slice_voxels.assign(structure=ALL, empty=False), OF_SLICES),
    )
    return pd.concat(
        [
            table.melt(kept, list(metrics), var_name="metric", value_name="value")
            for table, metrics in tables
        ],
        ignore_index=True,
    )


def _box(values: "pd.Series[float]") -> "pd.Series[float]":
    numbers = values.to_numpy(np.float64)
    q1, median, q3 = np.percentile(numbers, (25, 50, 75))
    reach = WHISKER * (q3 - q1)
    inside = numbers[(numbers >= q1 - reach) & (numbers <= q3 + reach)]
    return pd.Series(
        {
            "mean": numbers.mean(),
            "low": min(inside.min(), q1),
            "q1": q1,
            "median": median,
            "q3": q3,
            "high": max(inside.max(), q3),
            "minimum": numbers.min(),
            "maximum": numbers.max(),
        }
    )
