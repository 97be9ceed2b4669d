"""Table of proper scores, calibration errors and uncertainty."""

from functools import partial

from cardiouq.reporting.tables.layout import Block, MadeTable, Settings, Tables, make_blocks
from cardiouq.structures import ALL

_of_all = partial(Block, structures=[ALL], spread="interval")
_neutral = partial(_of_all, decimals=4, larger_is_better=None)

BLOCKS = [
    _of_all("nll_nats", "NLL (nats)", decimals=4),
    _of_all("brier", "Brier", decimals=4),
    _of_all("ece_percent", "ECE (%)", decimals=2),
    _of_all("average_ce_percent", "average CE (%)", decimals=1),
    _of_all("maximum_ce_percent", "maximum CE (%)", decimals=1),
    _of_all("classwise_ece_percent", "class-wise ECE (%)", decimals=2),
    _of_all("adaptive_ce_percent", "adaptive CE (%)", decimals=2),
    _of_all("image_ece_percent", "ECE of images (%)", decimals=2),
    _of_all("image_average_ce_percent", "average CE of images (%)", decimals=1),
    _of_all("image_maximum_ce_percent", "maximum CE of images (%)", decimals=1),
    _neutral("predictive_entropy_bits", "entropy (bits)"),
    _neutral("expected_entropy_bits", "expected entropy (bits)"),
    _neutral("mutual_information_bits", "mutual information (bits)"),
    _neutral("variance", "variance"),
    _neutral("entropy_at_boundary_percent", "entropy at the boundary (%)", decimals=1),
]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of scores, errors and uncertainty over volumes."""
    return make_blocks(tables, BLOCKS, study, caption, "tab:calibration")
