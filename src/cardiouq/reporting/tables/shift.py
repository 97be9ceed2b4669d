"""Table of how well uncertainty tells scans of another distribution from those in domain."""

import numpy as np

from cardiouq.reporting.tables.failure_detection import UNCERTAINTIES
from cardiouq.reporting.tables.layout import (
    Block,
    MadeTable,
    Settings,
    Tables,
    labels_of,
    print_blocks,
)
from cardiouq.structures import ALL

DETECTORS = UNCERTAINTIES | {
    "mutual_information_bits": "mutual information",
    "variance": "variance",
    "confidence": "1 - largest probability",
    "energy": "energy",
    "largest_logit": "- largest logit",
    "mahalanobis": "Mahalanobis distance",
}
"""What tells scans apart -> how it is printed."""

BLOCKS = [
    Block(by, label, structures=[ALL], decimals=2, larger_is_better=None, spread="interval")
    for by, label in DETECTORS.items()
]


def make(tables: Tables, study: Settings, caption: str) -> MadeTable:
    """Make the table of AUROC, with intervals on test sets and without on degrees of distortion."""
    rows = tables["shift"]
    methods, test_sets = labels_of(study)
    distortions = study.get("distortions", {"kinds": {}})
    degrees = {
        f"{distortions['test_set']}+{kind}-{place}": f"{kind.replace('_', ' ')} {degree:g}"
        for kind, degrees in distortions["kinds"].items()
        for place, degree in enumerate(degrees, start=1)
    }
    numbers = rows.rename(columns={"by": "metric", "auroc": "value"})
    numbers = numbers.assign(level="volume", structure=ALL)
    numbers["low"] = numbers["low"].mask(numbers["test_set"].isin(list(degrees)), np.nan)
    return rows, print_blocks(numbers, BLOCKS, methods, test_sets | degrees, caption, "tab:shift")
