"""Table of how well structures are segmented, besides their Dice."""

from functools import partial

from cardiouq.reporting.tables.layout import Block, MadeTable, Settings, Tables, make_blocks

_volume = partial(Block, spread="interval")
_slice = partial(_volume, level="slice")

BLOCKS = [
    _volume("assd_mm", "ASSD (mm)", decimals=2),
    _volume("hd95_mm", "HD95 (mm)", decimals=1),
    _volume("hausdorff_mm", "Hausdorff (mm)", decimals=1),
    _volume("surface_dice", "Surface Dice", larger_is_better=True),
    _volume("estimated_dice", "Dice, estimated from the heat map", larger_is_better=None),
    _volume("estimated_dice_error", "Error of the estimated Dice"),
    _volume("sensitivity_possible", "Sensitivity of h > 0", larger_is_better=True),
    _volume("precision_certain", "Precision of h >= 0.99", larger_is_better=True),
    _volume("aula", "AULA", larger_is_better=None),
    _slice("dice", "Dice, per slice", larger_is_better=True),
    _slice("one_empty_percent", "Missed or invented (%), per slice", decimals=1),
    _slice("assd_mm", "ASSD (mm), per slice, missed ones too", decimals=2),
]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of distances between surfaces, of single slices and of heat maps."""
    return make_blocks(tables, BLOCKS, study, caption, "tab:segmentation")
