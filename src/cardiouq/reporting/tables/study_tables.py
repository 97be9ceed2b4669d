"""The tables of a study, by the names of their files."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from cardiouq.reporting.printing import PrintedTable
from cardiouq.reporting.tables.derived import derive_numbers
from cardiouq.reporting.tables.findings import check_findings
from cardiouq.reporting.tables.layout import (
    Block,
    print_blocks,
    print_clinical,
    print_comparisons,
    print_dice,
    print_ece,
    print_ranks,
)
from cardiouq.reporting.tables.published import with_published
from cardiouq.reporting.tables.verdict import find_paper_test_sets, make_verdict, print_verdict
from cardiouq.structures import ALL

_of_all = partial(Block, structures=[ALL], spread="interval")
_neutral = partial(_of_all, decimals=4, larger_is_better=None)
_higher = partial(Block, decimals=2, larger_is_better=True)
_slice = partial(Block, level="slice")

BLOCKS = {
    "segmentation": [
        Block("assd_mm", "ASSD (mm)", decimals=2),
        Block("hd95_mm", "HD95 (mm)", decimals=1),
        Block("hausdorff_mm", "Hausdorff (mm)", decimals=1),
        Block("surface_dice", "Surface Dice", larger_is_better=True),
        Block("estimated_dice", "Dice, estimated from the heat map", larger_is_better=None),
        Block("estimated_dice_error", "Error of the estimated Dice"),
        Block("sensitivity_possible", "Sensitivity of h > 0", larger_is_better=True),
        Block("precision_certain", "Precision of h >= 0.99", larger_is_better=True),
        Block("aula", "AULA", larger_is_better=None),
        _slice("dice", "Dice, per slice", larger_is_better=True),
        _slice("assd_mm", "ASSD (mm), per slice", decimals=2),
    ],
    "calibration": [
        _of_all("nll_nats", "NLL (nats)", decimals=4),
        _of_all("brier", "Brier", decimals=4),
        _of_all("ece_percent", "ECE (%)", decimals=2),
        _of_all("average_ce_percent", "average CE (%)", decimals=1),
        _of_all("maximum_ce_percent", "maximum CE (%)", decimals=1),
        _of_all("classwise_ece_percent", "class-wise ECE (%)", decimals=2),
        _of_all("adaptive_ce_percent", "adaptive CE (%)", decimals=2),
        _neutral("predictive_entropy_bits", "entropy (bits)"),
        _neutral("expected_entropy_bits", "expected entropy (bits)"),
        _neutral("mutual_information_bits", "mutual information (bits)"),
        _neutral("variance", "variance"),
    ],
    "failure_detection": [
        _higher("spearman_predictive_entropy_bits_dice", "Spearman with 1 - Dice: entropy"),
        _higher("spearman_dice_within_dice", "Spearman with 1 - Dice: 1 - Dice_within"),
        _higher("spearman_aula_dice", "Spearman with 1 - Dice: 1 - AULA"),
        _higher("spearman_estimated_dice_dice", "Spearman with 1 - Dice: 1 - estimated Dice"),
        Block("aurc_predictive_entropy_bits", "AURC: entropy"),
        Block("aurc_dice_within", "AURC: 1 - Dice_within"),
        Block("aurc_aula", "AURC: 1 - AULA"),
        Block("aurc_estimated_dice", "AURC: 1 - estimated Dice"),
        Block("augrc_predictive_entropy_bits", "AUGRC: entropy"),
        Block("augrc_dice_within", "AUGRC: 1 - Dice_within"),
        _higher("auroc_failure_predictive_entropy_bits", "AUROC of failure: entropy"),
        _higher("auroc_failure_dice_within", "AUROC of failure: 1 - Dice_within"),
        _higher("auroc_failure_aula", "AUROC of failure: 1 - AULA"),
        _higher("auroc_failure_estimated_dice", "AUROC of failure: 1 - estimated Dice"),
        _higher(
            "spearman_assd_within_mm_assd_mm", "slices, Spearman: ASSD_within, ASSD", level="slice"
        ),
        _slice("quality_control_auc_assd_within_mm", "slices, area of QC curve: ASSD_within"),
        _slice("flagged_percent_assd_within_mm", "slices, flagged (%): ASSD_within", decimals=0),
    ],
}
"""What stands in the tables that are metrics one below the other."""


def make_table(
    name: str,
    found: Mapping[str, pd.DataFrame],
    published: pd.DataFrame,
    claims: pd.DataFrame,
    study: Mapping[str, Any],
    paper_study: Mapping[str, Any],
    caption: str,
) -> tuple[pd.DataFrame, PrintedTable]:
    """One table of a study: its rows for machines, and its layout for people.

    Args:
        name: `table1_dice`, `table2_ece`, `verdict`, `clinical`, `comparisons`, `ranks` or a key of
            `BLOCKS`.
        found: `summary`, `comparisons` and `ranks` of the evaluation; `distortions` and
            `quality_control` too for the verdict of a study that distorts scans.
        published, claims: the paper's numbers and claims.
        study, paper_study: settings of the study that ran and of the paper's own.
        caption: plain text.
    """
    methods = {key: block["label"] for key, block in study["methods"].items()}
    test_sets = {key: block["label"] for key, block in study["test_sets"].items()}
    beside = find_paper_test_sets(study)
    summary = found["summary"]
    volumes = summary[summary["level"] == "volume"]
    if name in BLOCKS:
        blocks = BLOCKS[name]
        keys = {(block.level, block.metric) for block in blocks}
        shown = [key in keys for key in zip(summary["level"], summary["metric"], strict=True)]
        printed = print_blocks(summary, blocks, methods, test_sets, caption, f"tab:{name}")
        return summary[shown], printed
    if name == "verdict":
        numbers = summary
        if "distortions" in found:
            tables = found["distortions"], found["quality_control"]
            derived = derive_numbers(summary, *tables, study["distortions"]["test_set"])
            numbers = pd.concat([summary, derived], ignore_index=True)
        rows = make_verdict(
            numbers, found["comparisons"], published, claims, study, paper_study, beside
        )
        if "distortions" in found:
            findings = check_findings(found["distortions"], summary)
            rows = pd.concat([rows, findings], ignore_index=True)
        return rows, print_verdict(rows, methods, test_sets, caption)
    printers: dict[str, tuple[pd.DataFrame, Callable[..., PrintedTable]]] = {
        "table1_dice": (
            with_published(volumes[volumes["metric"] == "dice"], published, "dice", beside),
            print_dice,
        ),
        "table2_ece": (
            with_published(
                volumes[volumes["metric"] == "ece_percent"], published, "ece_percent", beside
            ),
            print_ece,
        ),
        "clinical": (summary[summary["level"] == "subject"], print_clinical),
        "comparisons": (found["comparisons"], print_comparisons),
        "ranks": (found["ranks"], print_ranks),
    }
    rows, print_ = printers[name]
    return rows, print_(rows, methods, test_sets, caption)
