"""Table of how well uncertainty finds the bad segmentations."""

from functools import partial

from cardiouq.reporting.tables.layout import Block, MadeTable, Settings, Tables, make_blocks

_higher = partial(Block, decimals=2, larger_is_better=True)
_slice = partial(Block, level="slice")

BLOCKS = [
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
]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of correlations, risk-coverage curves, failure detection, quality control."""
    return make_blocks(tables["summary"], BLOCKS, study, caption, "tab:failure_detection")
