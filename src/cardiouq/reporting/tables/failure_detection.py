"""Table of how well uncertainty finds the bad segmentations."""

from functools import partial

import pandas as pd

from cardiouq.evaluation.distortions import POOLED
from cardiouq.reporting.printing import NOTHING
from cardiouq.reporting.tables.layout import (
    Block,
    MadeTable,
    Settings,
    Tables,
    beside,
    make_blocks,
)

_lower = partial(Block, spread="interval")
_higher = partial(_lower, decimals=2, larger_is_better=True)
_slice = partial(_lower, level="slice")
# a structure without a limit of volumes has no failures
_failed = partial(_lower, may_lack=True)
_auroc = partial(_failed, decimals=2, larger_is_better=True)

UNCERTAINTIES = {
    "predictive_entropy_bits": "entropy",
    "entropy_without_boundary_bits": "entropy without the boundary",
    "entropy_foreground_bits": "entropy of the foreground",
    "entropy_patch_bits": "entropy of the worst patch",
    "dice_within": "1 - Dice_within",
    "aula": "1 - AULA",
    "estimated_dice": "1 - estimated Dice",
    "forest_dice": "1 - forest's Dice",
}
"""Uncertainty by which cases are ranked -> how it is printed."""

BLOCKS = [
    _failed("failed_percent", "Failed (%)", decimals=0, larger_is_better=None),
    *(_higher(f"spearman_{u}_dice", f"Spearman: {by}") for u, by in UNCERTAINTIES.items()),
    *(_lower(f"aurc_{u}", f"AURC: {by}") for u, by in UNCERTAINTIES.items()),
    _lower("augrc_predictive_entropy_bits", "AUGRC: entropy"),
    _lower("augrc_dice_within", "AUGRC: 1 - Dice_within"),
    *(_auroc(f"auroc_failure_{u}", f"AUROC of failure: {by}") for u, by in UNCERTAINTIES.items()),
    _higher(
        "spearman_assd_within_mm_assd_mm", "slices, Spearman: ASSD_within, ASSD", level="slice"
    ),
    _slice("quality_control_auc_assd_within_mm", "slices, area of QC curve: ASSD_within"),
    _slice("flagged_percent_assd_within_mm", "slices, flagged (%): ASSD_within", decimals=0),
]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of correlations, risk-coverage curves, failure detection, quality control.

    Its last columns are of all distorted scans of a study that has some.
    """
    summary, study = with_distorted(tables, study)
    counted = {**tables, "summary": with_counts(summary)}
    return make_blocks(counted, BLOCKS, study, caption, "tab:failure_detection")


def with_distorted(tables: Tables, study: Settings) -> tuple[pd.DataFrame, Settings]:
    """The summary and the study with all distorted scans as one more test set, if it has some."""
    summary = tables["summary"]
    if "distorted_summary" not in tables:
        return summary, study
    test_sets = {**study["test_sets"], POOLED: {"label": "All degrees of distortion"}}
    both = pd.concat([summary, tables["distorted_summary"]], ignore_index=True)
    return both, {**study, "test_sets": test_sets}


def with_counts(summary: pd.DataFrame) -> pd.DataFrame:
    """Let how many cases failed be printed instead of an AUROC of none or all of them.

    There it is no number; that it is 1 or 0 then is a convention, which the rows keep.
    """
    share = beside(summary, "failed_percent") / 100
    is_none = summary["metric"].str.startswith("auroc_failure_") & ((share == 0) | (share == 1))
    failed = (share * summary["n_cases"]).map("{:.0f}".format)
    counts = f"{NOTHING} (" + failed + " of " + summary["n_cases"].map("{:.0f}".format) + ")"
    return summary.assign(instead=counts.where(is_none, ""))
