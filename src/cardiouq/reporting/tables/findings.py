"""Findings that Ng et al. (2022) put in words, checked on our numbers, for the verdict.

The paper gives no table for these findings, so a row says whether ours agrees and is never a
reproduction.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from cardiouq.evaluation.bootstrap import FEWEST_SUBJECTS
from cardiouq.reporting.tables.judging import COLUMNS, NO, NOT_COMPARABLE, UNMEASURED, UNTOLD, YES
from cardiouq.structures import ALL, FOREGROUND, STRUCTURES

PAPER = "ng2022"
COMPARED = ("vanilla", "mcd_0_1", "mcd_0_5", "bbb", "deep_ensemble", "ssn")
"""The methods that the paper compares, called as in its own study, as in `config/published`."""
BEST = {"noise": "bbb", "blur": "ssn", "stretch": "deep_ensemble"}
"""Kind -> the most accurate method (abstract: Deep Ens. but for heavy noise and blur)."""
FALLS_AGAIN = {"noise": True, "blur": True, "stretch": False}
"""Kind -> whether uncertainty is past its peak at the largest degree."""
UNCERTAINTIES = ("predictive_entropy_bits", "mutual_information_bits", "dice_within")
REASON = "stated in words, at the paper's own setting"


def check_findings(distortions: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Check the paper's findings on distortions and on ASSD_within, on the methods it compares.

    Args:
        distortions: rows of `distortions.csv`.
        summary: rows of `summary.csv`.

    Returns:
        Rows of the verdict's columns; of fewer than `FEWEST_SUBJECTS` nothing can be told. ours is,
        for accuracy: the Dice lost from the original to the largest degree (agrees if no degree
        gains any); for uncertainty: the place of the degree with the largest median entropy; for
        the best method: its lead in Dice, averaged over the degrees, before the best of the paper's
        others; for ASSD_within: the lead of its Spearman correlation with ASSD before the best of
        entropy, mutual information and Dice_within, mean over structures.
    """
    rows = [*_of_distortions(distortions), *_of_measures(summary)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_distortions(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    dice = table[(table["metric"] == "dice") & (table["structure"] == FOREGROUND)]
    entropy = table[(table["metric"] == "predictive_entropy_bits") & (table["structure"] == ALL)]
    for kind in BEST:
        of_kind = dice[dice["kind"] == kind]
        means = of_kind.pivot(index="method", columns="place", values="mean")
        n_empty = of_kind.groupby("method")["n_empty"].sum()
        subjects = of_kind["n_subjects"].max()
        medians = entropy[entropy["kind"] == kind].pivot(
            index="method", columns="place", values="median"
        )
        for method in means.index.intersection(list(COMPARED)):
            what = f"Accuracy falls with the degree of {kind}"
            agrees = bool((np.diff(means.loc[method]) <= 0).all())
            lost = means.loc[method].iloc[0] - means.loc[method].iloc[-1]
            yield _row(what, method, kind, "dice", agrees, lost, n_empty[method], subjects)
            peak = int(medians.loc[method].idxmax())
            falls = "rises, then falls" if FALLS_AGAIN[kind] else "rises to the largest degree"
            what = f"Uncertainty {falls} under {kind}"
            agrees = peak > 0 and (peak < medians.shape[1] - 1) == FALLS_AGAIN[kind]
            yield _row(what, method, kind, "predictive_entropy_bits", agrees, peak, 0, subjects)
        best = BEST[kind]
        others = [method for method in COMPARED if method in means.index and method != best]
        if best in means.index and others:
            over_degrees = means.drop(columns=0).mean(axis=1)
            lead = over_degrees[best] - over_degrees[others].max()
            what = f"Most accurate of the paper's methods under {kind}"
            empty = n_empty[[best, *others]].sum()
            yield _row(what, best, kind, "dice", bool(lead > 0), lead, empty, subjects)


def _of_measures(summary: pd.DataFrame) -> Iterator[dict[str, Any]]:
    slices = summary[(summary["level"] == "slice") & summary["structure"].isin(list(STRUCTURES))]
    metrics = {f"spearman_{name}_assd_mm": name for name in ("assd_within_mm", *UNCERTAINTIES)}
    found = slices[slices["metric"].isin(list(metrics)) & slices["method"].isin(list(COMPARED))]
    for (method, test_set), rows in found.groupby(["method", "test_set"], sort=False):
        means = rows.groupby("metric")["value"].mean().rename(index=metrics)
        if means["assd_within_mm"] == means["dice_within"] == 0:
            continue  # one sample: nothing is within
        lead = means["assd_within_mm"] - means[list(UNCERTAINTIES)].max()
        what, metric = "ASSD_within correlates best with ASSD", "spearman_assd_within_mm_assd_mm"
        n_empty = rows.loc[rows["metric"] == metric, "n_empty"].sum()
        subjects = rows["n_subjects"].max()
        yield _row(what, method, test_set, metric, bool(lead > 0), lead, n_empty, subjects)


def _row(
    what: str,
    method: Any,
    where: Any,
    metric: str,
    agrees: bool,
    ours: float,
    n_empty: float,
    n_subjects: float,
) -> dict[str, Any]:
    return {
        **dict.fromkeys(COLUMNS, ""),
        **UNMEASURED,
        "kind": "finding",
        "paper": PAPER,
        "what": what,
        "method": method,
        "test_set": where,
        "level": "slice",
        "metric": metric,
        "published": np.nan,
        "ours": ours,
        "n_empty": n_empty,
        "agrees": UNTOLD if n_subjects < FEWEST_SUBJECTS else YES if agrees else NO,
        "verdict": NOT_COMPARABLE,
        "reason": REASON,
    }
